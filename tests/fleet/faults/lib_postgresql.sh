# What the faults of the database share, beside lib.sh, which it sources.
# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# shellcheck source=tests/fleet/faults/lib.sh
. "${0%/*}/lib.sh"

data=/var/lib/postgresql/$cluster/main
settings=/etc/postgresql/$cluster/main/conf.d/zz-fault.conf

prod() { sql "$1" sergas_prod; }
# The first column of the first row of a query in the app's database.
value() { prod "$1" | head -n 1; }
# A query in the app's database gives a row: holds QUERY
holds() { [ -n "$(value "$1")" ]; }

# A client of the app's own role that stays: client UNIT ARGUMENTS of sessions.py...
client() {
    local password
    password=$(sed -n 's/^DATABASE_PASSWORD="\(.*\)"/\1/p' "$pristine/.env")
    systemd-run --quiet --unit "$1" --setenv "PGPASSWORD=$password" \
        /usr/bin/python3 "${0%/*}/sessions.py" "${@:2}"
}

# Settings of the server: its lines on standard input. Restarts it, and the app with it.
server_settings() {
    cat > "$settings"
    systemctl stop sergas-app
    systemctl restart "$database_unit"
    eventually 60 prod 'SELECT 1'
    start_app
    eventually 60 healthy
}

# The database on a small dedicated disk: small_database MEGABYTES [lines of settings]...
small_database() {
    systemctl stop sergas-app "$database_unit"
    mv "$data" "$data.before"
    # Loop devices are scarce where many hosts share a machine.
    eventually 120 small_filesystem "$data" "$1"
    rmdir "$data/lost+found"
    chown postgres:postgres "$data"
    chmod 700 "$data"
    cp -a "$data.before/." "$data/"
    # Little WAL is kept, as an operator of a small disk has it.
    printf '%s\n' 'max_wal_size = 64MB' 'min_wal_size = 32MB' "${@:2}" | server_settings
}
drop_small_database() {
    systemctl stop sergas-app "$database_unit"
    rm -f "$settings"
    drop_filesystem "$data"
    mv "$data.before" "$data"
    systemctl start "$database_unit"
}

percent_used() { df --output=pcent "$data" | tr -dc '0-9'; }
# Run a statement again and again until the disk is so full: fill_until PERCENT STATEMENT
fill_until() {
    local turns=0
    until [ "$(percent_used)" -ge "$1" ]; do
        prod "$2"
        turns=$((turns + 1))
        [ "$turns" -lt 200 ] || return 1
    done
}
