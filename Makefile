# `make` or `make help` lists what there is. Nothing here needs more than Python, make and a shell:
# each target installs what it uses into .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Options, given as `make TARGET NAME=value`.
INVENTORY ?=
LIMIT ?=
ARGS ?=
HOSTS ?= 3
PYTHON ?=
SKIP ?=
export INVENTORY LIMIT ARGS PYTHON SKIP

BIN := $(CURDIR)/.venv/bin
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.build
# molecule and ansible-lint call ansible-playbook by name.
tools = PATH="$(BIN):$$PATH"

.PHONY: help diagnose environment collection remedies findings check lint sanity unit matrix integration \
	fleet-images fleet-up fleet-down fleet-test molecule bench test build clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\n  Options: INVENTORY=path LIMIT=hosts ARGS="..." (diagnose), HOSTS=n (fleet-up, bench),\n'
	@printf '           SKIP="part ..." (test), PYTHON=path (the interpreter of .venv)\n'

diagnose: ## Diagnose this machine, or a fleet with INVENTORY=path; changes nothing
	@scripts/diagnose.sh

environment: ## Make .venv with everything the tests use
	@scripts/environment.sh test

.PHONY: bare
bare:
	@scripts/environment.sh bare

collection: ## Lay the checkout at .build/ansible_collections/sergas/ops
	@scripts/collection.sh link

remedies: environment collection ## Write the catalogue in docs/remedies.md from the remedies' metadata
	@$(tools) python scripts/remedies.py

findings: environment collection ## Write docs/findings.md from scripts/findings.yml and the code
	@$(tools) python scripts/findings.py

check: ## lint and unit side by side, for everyday work
	@$(MAKE) --jobs=2 --keep-going --output-sync=target lint unit ARGS=

lint: environment collection ## ruff, mypy, yamllint, ansible-lint, documentation, changelog
	@$(tools) tests/lint.sh

sanity: environment ## ansible-test sanity, without ignore entries
	@$(tools) tests/sanity.sh $(ARGS)

unit: environment collection ## Decisions and parsers, with plain values and captured inputs
	@$(tools) pytest $(or $(ARGS),tests/unit)

matrix: environment collection ## Unit tests on each ansible-core and Python (ARGS="-k 2.20" selects)
	@$(tools) pytest tests/matrix $(ARGS)

integration: environment collection ## The tarball and `make diagnose`, as a user gets them
	@$(tools) pytest $(or $(ARGS),tests/integration)

fleet-images: bare ## Build the images of the reference fleet that are missing (root)
	@$(tools) python tests/fleet/fleet.py images

fleet-up: environment collection ## Start HOSTS=n hosts of the reference fleet (root)
	@$(tools) python tests/fleet/fleet.py up --hosts $(HOSTS)

fleet-down: environment ## Stop and remove the reference fleet
	@$(tools) python tests/fleet/fleet.py down

fleet-test: environment collection ## Every fault on real hosts names its root cause (root)
	@$(tools) pytest $(or $(ARGS),tests/fleet)

# What a run that was killed has left there would count as done.
molecule: environment collection ## Each role on the reference fleet: applied, idempotent, verified (root)
	@rm -rf .build/molecule
	@$(tools) MOLECULE_EPHEMERAL_DIRECTORY=$(CURDIR)/.build/molecule molecule test $(or $(ARGS),--all)

bench: environment collection ## Speed on HOSTS=20 hosts, as ratios measured side by side (root)
	@$(tools) python tests/fleet/fleet.py up --hosts $(if $(filter command,$(origin HOSTS)),$(HOSTS),20)
	@$(tools) python tests/bench/bench.py

test: bare collection ## All of the above but bench, from nothing, as root
	@$(tools) python tests/suite.py

build: environment ## The collection as an installable tarball in .build/
	@$(tools) scripts/collection.sh build .build

clean: ## Remove what make made: .venv, .build, reports of tests
	rm -rf .venv .build .cache tests/output
