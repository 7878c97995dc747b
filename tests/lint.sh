#!/usr/bin/env bash
# Every check of form. All of them run, also after one has found something; the exit status tells of any.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# What git tracks: a report, a vault or an unfinished file in the checkout is not linted.
tree=$(mktemp -d) || exit
trap 'rm -rf "$tree"' EXIT
collection=$(scripts/collection.sh copy "$tree") && cd "$collection" || exit

failed=()
check() {
    local name=$1
    shift
    printf '== %s\n' "$name"
    "$@" || failed+=("$name")
}

documentation() {
    # References are looked up in what the collection needs, not in all that is installed: 12 s instead of two minutes.
    local bundled dependency
    bundled=$(python -c 'import ansible_collections; print(ansible_collections.__path__[0])') || return 1
    for dependency in $(python -c 'import yaml; print(*yaml.safe_load(open("galaxy.yml"))["dependencies"])'); do
        mkdir -p "$tree/ansible_collections/${dependency%.*}"
        ln -s "$bundled/${dependency/.//}" "$tree/ansible_collections/${dependency/.//}"
    done
    ANSIBLE_COLLECTIONS_PATH=$tree antsibull-docs lint-collection-docs \
        --plugin-docs --validate-collection-refs=self --skip-rstcheck \
        "$collection"
}

github() {
    check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml &&
        check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml &&
        check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
}

check ruff ruff check --quiet --output-format concise .
check format ruff format --quiet --check .
check words python tests/lint/plain_words.py
check yamllint yamllint --strict .
check github github
check ansible-lint ansible-lint
check documentation documentation
check changelog antsibull-changelog lint

[ "${#failed[@]}" = 0 ] || { printf 'failed: %s\n' "${failed[@]}"; exit 1; }
