#!/usr/bin/env bash
# Makes or completes the checkout's own .venv.   scripts/environment.sh bare|core|test
#
#   bare   a Python with pip, all that builds the images of the fleet
#   core   ansible-core, all that `make diagnose` needs
#   test   core and the test tools on top
#
# PYTHON=/path/to/python chooses the interpreter; else the first one that is new enough is taken.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly oldest_python=3.11

say() { printf '%s\n' "$*" >&2; }
# The first line says what is wrong, the others what to do.
die() {
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# = 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
new_enough() {
    "$1" -c "import sys; sys.exit(sys.version_info[:2] < tuple(map(int, '$oldest_python'.split('.'))))" 2>/dev/null
}
# pip comes into a new environment from ensurepip, which Debian keeps in a separate package.
makes_environments() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

choose_python() {
    local candidate found=""
    python=""
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null || die "PYTHON=$PYTHON: no such command."
        new_enough "$PYTHON" ||
            die "PYTHON=$PYTHON is Python $(version_of "$PYTHON"); ansible-core needs $oldest_python or newer."
        python=$PYTHON
        return
    fi
    for candidate in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
        candidate=$(command -v "$candidate") || continue
        if ! new_enough "$candidate"; then
            [[ $found == *" $candidate "* ]] || found+=" $candidate ($(version_of "$candidate" || echo 'does not run'))"
            continue
        fi
        [ -n "$python" ] || python=$candidate
        if makes_environments "$candidate"; then
            python=$candidate
            return
        fi
    done
    [ -n "$python" ] || die \
        "ansible-core needs Python $oldest_python or newer on the machine it runs from. Found:${found:- none}." \
        "Debian 12, Ubuntu 24.04 and newer have it; on Ubuntu 22.04: apt-get install python3.11 python3.11-venv." \
        "Or name one: make diagnose PYTHON=/path/to/python3.11" \
        "Or diagnose this machine from one that has it: make diagnose INVENTORY=$(hostname),"
}

make_environment() {
    choose_python
    if ! makes_environments "$python"; then
        local package
        package=python$(version_of "$python")-venv
        scripts/packages.sh "$package" || true
        makes_environments "$python" || die \
            "$python cannot make virtual environments: its module ensurepip is missing." \
            "Install it, then run this again: apt-get install $package"
    fi
    rm -rf .venv
    "$python" -m venv .venv || die "cannot make .venv in $PWD: is the directory writable, the disk full?"
}

case "${1:-}" in
    bare) files=() ;;
    core) files=(requirements.txt) ;;
    test) files=(requirements.txt tests/requirements.txt) ;;
    *) die "usage: scripts/environment.sh bare|core|test" ;;
esac

# An environment does not survive a move: its scripts name the directory they were made in.
if [ "$(cat .venv/made-in 2>/dev/null)" != "$PWD" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    make_environment
    printf '%s\n' "$PWD" > .venv/made-in
fi

# Copies of the files that it was installed from say whether it is what they require now.
up_to_date() {
    local file
    for file in "${files[@]}"; do
        cmp -s "$file" ".venv/installed-from/$file" || return 1
    done
}
if ! up_to_date; then
    say "Installing $([ "$1" = core ] && echo ansible-core || echo 'the test tools') into .venv ..."
    # Warnings about this machine's pip settings say nothing about the collection: -qq shows errors.
    .venv/bin/python -m pip install -qq --disable-pip-version-check "${files[@]/#/--requirement=}" || die \
        "pip could not install what ${files[*]} require; its message is above." \
        "It needs a package index: behind a proxy, set HTTPS_PROXY or PIP_INDEX_URL."
    mkdir -p .venv/installed-from/tests
    for file in "${files[@]}"; do cp "$file" ".venv/installed-from/$file"; done
fi
