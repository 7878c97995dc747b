# What the faults of Cognee share: a dedicated container on the host, on port 8101, as the app uses it.
# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# shellcheck source=tests/fleet/faults/lib.sh
. "${0%/*}/lib.sh"

cognee_port=8101
cognee_program=/usr/local/lib/sergas-cognee.py
address=$(ip -4 -o address show dev eth0 | sed 's/.* inet \([0-9.]*\).*/\1/')
# The container's own state of mind: gone when it is restarted.
manner() { docker exec cognee sh -c "echo $1 > /run/manner"; }
cognee() { curl --silent --max-time 3 --output /dev/null --write-out '%{http_code}' \
    "http://$address:$cognee_port$1" "${@:2}" || :; }
cognee_ready() { [ "$(cognee /health)" = 200 ]; }

# Docker from the release's packages: in no image, since only these faults need it, and it would be half of each.
engine() {
    if ! command -v dockerd > /dev/null; then
        apt-get update -qq
        local packages=docker.io
        if apt-cache show docker-cli > /dev/null 2>&1; then packages="docker.io docker-cli"; fi
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages > /dev/null 2>&1
    fi
    eventually 30 docker version
    # An image of empty directories: the programs are the host's own.
    local root
    root=$(mktemp -d)
    mkdir "$root"/{bin,etc,lib,lib64,proc,run,sys,tmp,usr}
    docker image inspect cognee/cognee:1.6.5 > /dev/null 2>&1 \
        || tar -C "$root" -c . | docker import - cognee/cognee:1.6.5 > /dev/null
    rm -r "$root"
}

# Run the container: container host | published [docker's options]
container() {
    local network=(--network host) listen=$cognee_port
    if [ "$1" = published ]; then
        network=(--publish "$cognee_port:8000") listen=8000
    fi
    install -m 644 "${0%/*}/cognee_server.py" "$cognee_program"
    docker rm --force cognee > /dev/null 2>&1 || :
    # The host is a container itself: its own control group is not visible to others.
    docker run --detach --cgroupns private --name cognee "${network[@]}" "${@:2}" --tmpfs /run \
        --volume /usr:/usr:ro --volume /bin:/bin:ro --volume /lib:/lib:ro --volume /lib64:/lib64:ro \
        --volume "$cognee_program:/cognee.py:ro" --env COGNEE_MANNER=/run/manner --env COGNEE_SLOW=40 \
        --env PYTHONDONTWRITEBYTECODE=1 \
        --health-cmd "bash -c 'exec 3<> /dev/tcp/127.0.0.1/$listen; echo \"GET /health HTTP/1.0\" >&3; echo >&3
            read -r _ status _ <&3; test \"\$status\" = 200'" \
        --health-interval 6s --health-timeout 3s --health-retries 2 --stop-timeout 2 \
        cognee/cognee:1.6.5 python3 -u /cognee.py "$listen" > /dev/null
    eventually 30 cognee_ready
}

# The app uses the container, and the hosts of the fleet reach it.
with_cognee() {
    engine
    container host
    ufw allow from "${address%.*}.0/24" to any port "$cognee_port" proto tcp > /dev/null
    set_env COGNEE_BASE_URL "http://$address:$cognee_port"
    restart_app
    eventually 60 healthy
}
without_cognee() {
    docker rm --force cognee > /dev/null 2>&1 || :
    ufw delete allow from "${address%.*}.0/24" to any port "$cognee_port" proto tcp > /dev/null 2>&1 || :
    ufw delete deny "$cognee_port/tcp" > /dev/null 2>&1 || :
    recover
}

unreachable_for_app() { [ "$(cognee /)" = 000 ]; }
# The engine's own opinion: reported STATUS
reported() { [ "$(docker inspect --format '{{.State.Health.Status}}' cognee)" = "$1" ]; }
killed_for_memory() { [ "$(docker inspect --format '{{.State.OOMKilled}} {{.State.Running}}' cognee)" = "true false" ]; }

# Another service's unit on Cognee's port.
other_service() {
    install -m 644 "${0%/*}/cognee_server.py" "$cognee_program"
    cat > /etc/systemd/system/shop.service <<UNIT
[Unit]
Description=Another service
[Service]
ExecStart=/usr/bin/python3 $cognee_program $cognee_port other
[Install]
WantedBy=multi-user.target
UNIT
    systemctl daemon-reload
    systemctl enable --quiet --now shop.service
    eventually 20 cognee_ready
}
