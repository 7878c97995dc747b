#!/usr/bin/env bash
# Every check of form. All of them run side by side, also after one has found something, and each prints what it has
# to say in one piece; the exit status tells of any.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# What git tracks: a report, a vault or an unfinished file in the checkout is not linted.
tree=$(mktemp -d) || exit
trap 'rm -rf "$tree"' EXIT
collection=$(scripts/collection.sh copy "$tree") && cd "$collection" || exit

names=()
processes=()
check() {
    local name=$1
    shift
    "$@" > "$tree/$name" 2>&1 &
    names+=("$name")
    processes+=($!)
}

documentation() {
    # References are looked up in what the collection needs, not in all that is installed: 12 s instead of two minutes.
    local bundled dependency
    bundled=$(python -c 'import ansible_collections; print(ansible_collections.__path__[0])') || return 1
    for dependency in $(python -c 'import yaml; print(*yaml.safe_load(open("galaxy.yml"))["dependencies"])'); do
        mkdir -p "$tree/dependencies/ansible_collections/${dependency%.*}"
        ln -s "$bundled/${dependency/.//}" "$tree/dependencies/ansible_collections/${dependency/.//}"
    done
    ANSIBLE_COLLECTIONS_PATH=$tree:$tree/dependencies antsibull-docs lint-collection-docs \
        --plugin-docs --validate-collection-refs=self --skip-rstcheck \
        "$collection"
}

github() {
    check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml &&
        check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml &&
        check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
}

# The longest ones first.
check ansible-lint ansible-lint
check documentation documentation
check types mypy
check words python tests/lint/plain_words.py
check ruff ruff check --quiet --output-format concise .
check format ruff format --quiet --check .
check yamllint yamllint --strict .
check github github
check changelog antsibull-changelog lint

failed=()
for number in "${!names[@]}"; do
    wait "${processes[number]}" || failed+=("${names[number]}")
    printf '== %s\n' "${names[number]}"
    cat "$tree/${names[number]}"
done
[ "${#failed[@]}" = 0 ] || { printf 'failed: %s\n' "${failed[@]}"; exit 1; }
