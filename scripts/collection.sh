#!/usr/bin/env bash
# Lays the checkout where Ansible looks for a collection called sergas.ops.
#
#   scripts/collection.sh link         .build/ansible_collections/sergas/ops is this checkout (playbooks, pytest)
#   scripts/collection.sh copy FOLDER  a copy of its files under FOLDER (ansible-test refuses a link)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
    link)
        mkdir -p .build/ansible_collections/sergas
        [ "$(readlink .build/ansible_collections/sergas/ops)" = ../../.. ] ||
            ln -sfn ../../.. .build/ansible_collections/sergas/ops
        ;;
    copy)
        place=${2:?usage: scripts/collection.sh copy FOLDER}/ansible_collections/sergas/ops
        rm -rf "$place"
        mkdir -p "$place"
        # What git would commit, and no more: neither an environment nor a report of an earlier run.
        git ls-files -z --cached --others --exclude-standard |
            while IFS= read -r -d '' file; do [ -f "$file" ] && printf '%s\0' "$file"; done |
            tar --create --null --files-from=- --file=- | tar --extract --file=- --directory="$place"
        printf '%s\n' "$place"
        ;;
    *)
        echo "usage: scripts/collection.sh link | copy FOLDER" >&2
        exit 2
        ;;
esac
