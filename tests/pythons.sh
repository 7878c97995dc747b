#!/usr/bin/env bash
# Links the Pythons of this machine into DIRECTORY as python3.8 to python3.13, the versions that targets may have.
#
#   tests/pythons.sh DIRECTORY
#
# A version manager's stand-ins may not run, and an interpreter may be missing what makes environments: those are left
# out. SERGAS_TEST_PYTHONS="3.8 3.11" hides all others.
set -euo pipefail

readonly directory=$1
rm -rf "$directory"
mkdir -p "$directory"
for version in ${SERGAS_TEST_PYTHONS-3.8 3.9 3.10 3.11 3.12 3.13}; do
    for candidate in $(type -ap "python$version") "$HOME/.pyenv/versions/$version".*/bin/"python$version" \
        "$HOME"/.local/share/uv/python/*/bin/"python$version"; do
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            ln -s "$candidate" "$directory/python$version"
            break
        fi
    done
done
