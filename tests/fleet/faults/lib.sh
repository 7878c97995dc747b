# What the faults share: sourced by each of them, on the host, as root.
# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C.UTF-8

app=/home/sergas/super-account-manager
pristine=/usr/local/share/sergas-fleet
dropins=/run/systemd/system/sergas-app.service.d
stubs=/run/sergas-externals
cluster=$(ls /etc/postgresql)
# shellcheck disable=SC2034  # the faults use it
database_unit=postgresql@$cluster-main.service

# Poll a command until it succeeds: eventually SECONDS COMMAND...
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "never came true: $*" >&2
            return 1
        fi
        sleep 0.2
    done
}

# The status of a request to the app, 000 for none: api PATH [curl's options]
api() { curl --silent --max-time 20 --output /dev/null --write-out '%{http_code}' \
    "http://127.0.0.1:8000$1" "${@:2}" || :; }

healthy() { [ "$(api /health)" = 200 ]; }
listening() { [ "$(api /metrics)" = 200 ]; }
# The app's journal since the fault began holds a text.
# grep must read to the end (no -q): a journalctl cut short would fail the pipe.
logged() { journalctl --unit sergas-app --since "@$began" --output cat --no-pager | grep "$@" > /dev/null; }
began=$(date +%s)

# Keys of .env: the last line of a name counts, as for systemd. In place: owner and mode stay.
unset_env() { sed -i "/^$1=/d" "$app/.env"; }
set_env() {
    unset_env "$1"
    echo "$1=$2" >> "$app/.env"
}

# A bad release: lines of Python that take effect when the app is loaded.
release() { cat >> "$app/src/main.py"; }

# A drop-in of the app's unit: its lines on standard input.
dropin() {
    mkdir -p "$dropins"
    cat > "$dropins/fault.conf"
    systemctl daemon-reload
}

start_app() {
    systemctl reset-failed sergas-app 2> /dev/null || :
    systemctl restart --no-block sergas-app
}
# Restart the app with what the fault has changed, and wait until it answers.
restart_app() {
    systemctl restart sergas-app
    eventually 60 listening
}
# Restart the app, which cannot start, and wait until it has failed once.
fail_app() {
    start_app
    eventually 60 logged -e "$@"
}

sql() { su postgres -c "psql --quiet --no-psqlrc --no-align --tuples-only -v ON_ERROR_STOP=1 -d ${2:-postgres}" <<< "$1"; }
redis() { REDISCLI_AUTH=$(sed -n 's/^REDIS_PASSWORD=//p' "$pristine/.env") redis-cli "$@"; }

# A small dedicated filesystem: small_filesystem MOUNTPOINT MEGABYTES [mkfs options]
small_filesystem() {
    local file
    file=/var/lib/fault-$(basename "$1").img
    truncate --size "$2M" "$file"
    mkfs.ext4 -q -F -m 0 "${@:3}" "$file"
    mkdir -p "$1"
    # Loop devices are the machine's, and other hosts take them too: try again until one is ours.
    eventually 20 mount_loop "$file" "$1"
}
mount_loop() {
    local device
    device=$(losetup --find)
    [ -b "$device" ] || mknod "$device" b 7 "${device#/dev/loop}"
    mount -o "loop=$device" "$1" "$2"
}
drop_filesystem() {
    umount "$1" 2> /dev/null || :
    rm -rf "/var/lib/fault-$(basename "$1").img" "$1"
}

# Addresses outside, behind a router: clients of a partner whom ufw allows.
outside_network() {
    ip netns add outside
    ip link add outside0 type veth peer name eth0 netns outside
    ip address add 203.0.113.1/24 dev outside0
    ip link set outside0 up
    ip -n outside link set lo up
    ip -n outside link set eth0 up
    local address
    for address in "$@"; do ip -n outside address add "$address/24" dev eth0; done
    ufw allow from 203.0.113.0/24 to any port 8000 proto tcp > /dev/null
}
drop_outside_network() {
    ip netns delete outside 2> /dev/null || :
    ip link delete outside0 2> /dev/null || :
    ufw delete allow from 203.0.113.0/24 to any port 8000 proto tcp > /dev/null 2>&1 || :
}
# Request from an address outside: from ADDRESS PATH [curl's options]
from() { ip netns exec outside curl --silent --max-time 20 --output /dev/null --interface "$1" \
    "http://203.0.113.1:8000$2" "${@:3}"; }

# Restore the app, clear its history, and wait until the host is healthy.
recover() {
    rm -rf "$dropins/fault.conf"
    systemctl daemon-reload
    cat "$pristine/.env" > "$app/.env"
    rm -rf "$app/src"
    cp -a "$pristine/src" "$app/"
    rm -f "$stubs"/*
    systemctl stop sergas-app
    redis flushall > /dev/null
    journalctl --quiet --rotate
    find /var/log/journal -name '*@*.journal*' -delete
    start_app
    eventually 60 healthy
}

# The last line of each fault: run what was requested.
run_fault() {
    case ${1:-} in
        inject | clear) "$1" ;;
        *)
            echo "usage: $0 inject | clear" >&2
            return 2
            ;;
    esac
}
