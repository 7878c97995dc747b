#!/usr/bin/env bash
# make diagnose: this machine, or the fleet of an inventory.
#
#   INVENTORY  inventory file, directory or "host1,host2,"; empty: this machine
#   LIMIT      a pattern of hosts, as ansible-playbook --limit takes it
#   ARGS       anything else for ansible-playbook, for example ARGS='-e sergas_window=7200 -v'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/environment.sh core
scripts/collection.sh link

export ANSIBLE_CONFIG=$PWD/ansible.cfg ANSIBLE_COLLECTIONS_PATH=$PWD/.build ANSIBLE_STDOUT_CALLBACK=sergas.ops.report_only
playbook=(.venv/bin/ansible-playbook sergas.ops.diagnose --extra-vars sergas_fail_on=never)

if [ -n "${INVENTORY:-}" ]; then
    case $INVENTORY in
        *,*) ;;
        *) [ -e "$INVENTORY" ] || {
            echo "error: INVENTORY=$INVENTORY: no such file or directory. A list of hosts needs a comma: INVENTORY=web1," >&2
            exit 2
        } ;;
    esac
    playbook+=(--inventory "$INVENTORY")
else
    python=/usr/bin/python3
    [ -x "$python" ] || python=$PWD/.venv/bin/python
    playbook+=(--inventory 'localhost,' --connection local --extra-vars "ansible_python_interpreter=$python")
    if [ "$(id -u)" = 0 ]; then
        playbook+=(--extra-vars sergas_become=false)
    elif ! sudo -n true 2>/dev/null; then
        playbook+=(--extra-vars sergas_become=false)
        echo "Not root, and sudo needs a password: what only root may see will be reported as unknown."
    fi
fi
[ -z "${LIMIT:-}" ] || playbook+=(--limit "$LIMIT")
# ARGS is a command line: its words are split here on purpose, quotes in it are honoured.
[ -z "${ARGS:-}" ] || eval "playbook+=($ARGS)"

"${playbook[@]}"

if [ -z "${INVENTORY:-}" ]; then
    cat <<'EOF'

This was one machine. For a fleet, list its hosts in a file, in the groups that say what each must have:

    [sergas_app]            the application          [sergas_redis]     Redis
    web1.example.com        [sergas_postgresql]      [sergas_cognee]    Cognee
    web2.example.com        db1.example.com          [sergas_lb]        load balancers

and run: make diagnose INVENTORY=that-file
EOF
fi
