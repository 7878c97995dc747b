# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Healthy hosts whose services listen where others do not: nothing is bad on them, and it was seen.

What each of these is decided from has its unit tests; here it is the real services that listen.
"""

from __future__ import annotations

import concurrent.futures

import fleet as reference
import playbook
import pytest
import reports

BEFORE = """
set -eu
app=/home/sergas/super-account-manager
postgresql=$(ls -d /etc/postgresql/*/main)
own=$(hostname -I | cut -d' ' -f1)
serve() {
    mkdir -p /run/systemd/system/sergas-app.service.d
    printf '[Service]\\nExecStart=\\nExecStart=%s\\n' "$app/venv/bin/uvicorn src.main:app $1" \
        > /run/systemd/system/sergas-app.service.d/unusual.conf
    systemctl daemon-reload
}
env() { sed -i "s|^$1=.*|$1=$2|" "$app/.env"; }
systemctl stop sergas-app
"""
AFTER = """
systemctl restart redis-server postgresql
systemctl start sergas-app
for _try in $(seq 150); do
    [ "$(curl -sk -m 5 -o /dev/null -w '%{http_code}' $request)" = 200 ] && exit 0
    sleep 0.4
done
journalctl -u sergas-app -n 20 --no-pager
exit 1
"""
#: One worker's `::` is for IPv6 only. Redis has its own address alone.
IPV6 = """
serve '--host :: --port 8000'
sed -i "s/^bind .*/bind $own/" /etc/redis/redis.conf
env REDIS_HOST "$own"
request=http://[::1]:8000/health
"""
#: TLS with its own certificate, beside another service's socket for IPv6 only; it refuses every
#: name but two. PostgreSQL has its own address alone.
TLS = """
cd "$app"
openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 2 -subj /CN=app.test \
    2> /dev/null
chown sergas k.pem c.pem
serve '--host 0.0.0.0 --port 8000 --workers 2 --ssl-keyfile k.pem --ssl-certfile c.pem'
cat >> src/main.py <<'P'
from starlette.middleware.trustedhost import TrustedHostMiddleware

app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "app.example.com"])
P
systemd-run --quiet --unit beside python3 -c 'if True:
    import socket, time
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(("::", 8000))
    listener.listen()
    time.sleep(86400)'
echo "listen_addresses = '$own'" > "$postgresql/conf.d/zz-unusual.conf"
sed -i "1i host all all $own/32 md5" "$postgresql/pg_hba.conf"
env DATABASE_HOST "$own"
request='-H Host:localhost https://127.0.0.1:8000/health'
"""
#: A Unix socket for the app, loopback of IPv6 for Redis, another port and name for the database.
SOCKETS = """
serve '--uds /run/sergas/app.sock'
printf '[Service]\\nRuntimeDirectory=sergas\\n' > /run/systemd/system/sergas-app.service.d/run.conf
systemctl daemon-reload
sed -i "s/^bind .*/bind ::1/" /etc/redis/redis.conf
env REDIS_HOST ::1
su postgres -c 'psql --quiet -c "ALTER DATABASE sergas_prod RENAME TO crm"'
echo "port = 5433" > "$postgresql/conf.d/zz-unusual.conf"
env DATABASE_PORT 5433
env DATABASE_NAME crm
request='--unix-socket /run/sergas/app.sock http://localhost/health'
"""
UNUSUAL = {"bullseye": IPV6, "bookworm": TLS, "trixie": SOCKETS}
GROUPS = ("sergas_app", "sergas_postgresql", "sergas_redis")


@pytest.fixture(scope="module")
def findings_of(fleet, diagnose, tmp_path_factory):
    """The findings of each release's unusual host, as a host of all groups."""
    hosts = dict(zip(reference.RELEASES, fleet.fresh_of_each()))

    def prepare(release):
        host = reference.find(hosts[release])
        reference.on(host, BEFORE + UNUSUAL[release] + AFTER)

    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(prepare, hosts))
    names = list(hosts.values())
    own = playbook.inventory(
        tmp_path_factory.mktemp("inventory") / "own.json",
        dict.fromkeys(names, {}),
        dict.fromkeys(GROUPS, names),
    )
    report = diagnose(
        names,
        inventory=own,
        sergas_zoho_hosts="all:!all",
        sergas_skip=playbook.HOST_WIDE,
    )
    return {release: reports.findings(report)[host] for release, host in hosts.items()}


@pytest.mark.parametrize(
    ("release", "health", "seen"),
    [
        ("bullseye", "http://[::1]:8000/health", {}),
        ("bookworm", "https://127.0.0.1:8000/health", {"tls": "not verified"}),
        ("trixie", "http://localhost/health at /run/sergas/app.sock", {}),
    ],
)
def test_what_listens_elsewhere_is_queried_there(findings_of, release, health, seen):
    findings = findings_of[release]
    assert not reports.bad(findings), reports.describe(findings)
    found = {item["id"]: item for item in findings}
    evidence = found["api.health.ok"]["evidence"]
    assert evidence["url"] == health
    assert all(evidence[name].startswith(text) for name, text in seen.items())
    # The checks in depth are of the database that the app uses.
    assert {"app.port.ok", "db.connection.ok", "redis.ok", "db.index.unused.ok"} <= set(found)
