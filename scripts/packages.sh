#!/usr/bin/env bash
# Installs Debian packages: scripts/packages.sh NAME ...   As root, or through a sudo that needs no password.
set -euo pipefail

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}
if ! command -v apt-get >/dev/null || ! as_root true; then
    echo "error: this needs the Debian packages $*, and only root can install them: apt-get install $*" >&2
    exit 1
fi
echo "Installing the packages $* ..." >&2
# Parts of the tests that run side by side wait for each other here: apt itself does not wait for another apt's lists.
# shellcheck disable=SC2016  # expanded by the inner shell
as_root flock /run/lock/sergas-ops-packages env DEBIAN_FRONTEND=noninteractive bash -c '
    install() { apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"; }
    install "$@" >/dev/null 2>&1 || { apt-get update -qq && install "$@"; } >/dev/null
' packages "$@"
