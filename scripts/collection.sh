#!/usr/bin/env bash
# Makes the collection sergas.ops of this checkout available to Ansible and its tools.
#
#   scripts/collection.sh link             .build/ansible_collections/sergas/ops is this checkout (playbooks, pytest)
#   scripts/collection.sh copy DIRECTORY   a copy of its files in DIRECTORY (ansible-test refuses a link)
#   scripts/collection.sh build DIRECTORY  an installable tarball in DIRECTORY, from such a copy
#
# Copies hold what git tracks and no more: what else lies in a checkout (an environment, a report, a vault, an editor's
# backup) is neither tested nor shipped. A new file counts after `git add`.
set -euo pipefail

# The path of DIRECTORY is relative to where this was started.
target=${2:+$(mkdir -p "$2" && cd "$2" && pwd)}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

copy() {
    local collection=$1/ansible_collections/sergas/ops
    rm -rf "$collection"
    mkdir -p "$collection"
    # Not those that were deleted and are still tracked.
    git ls-files -z --cached |
        while IFS= read -r -d '' file; do [ ! -f "$file" ] || printf '%s\0' "$file"; done |
        tar --create --null --files-from=- --file=- | tar --extract --file=- --directory="$collection"
    printf '%s\n' "$collection"
}

case "${1:-} ${target:+DIRECTORY}" in
    "link ")
        mkdir -p .build/ansible_collections/sergas
        [ "$(readlink .build/ansible_collections/sergas/ops)" = ../../.. ] ||
            ln -sfn ../../.. .build/ansible_collections/sergas/ops
        ;;
    "copy DIRECTORY")
        copy "$target"
        ;;
    "build DIRECTORY")
        tree=$(mktemp -d)
        trap 'rm -rf "$tree"' EXIT
        ansible-galaxy collection build --force --output-path "$target" "$(copy "$tree")"
        ;;
    *)
        echo "usage: scripts/collection.sh link | copy DIRECTORY | build DIRECTORY" >&2
        exit 2
        ;;
esac
