# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret is seen, by value: in all that Ansible can say, in reports, in the hosts' journals and
process lists, whatever the modules that know secrets are used for, and where they fail.
"""

from __future__ import annotations

import json

import fleet as reference
import playbook
import pytest

HOSTS_ENV = reference.HERE / "image" / "app" / "env"
#: of the host's image; the fleet's own tests may not know them by heart
IMAGE = (
    "DATABASE_PASSWORD",
    "REDIS_PASSWORD",
    "ZOHO_SDK_CLIENT_SECRET",
    "ZOHO_SDK_REFRESH_TOKEN",
    "ZOHO_MCP_CLIENT_SECRET",
    "COGNEE_API_KEY",
    "OPERATOR_PASSWORD",
)
NEW = {
    "ENCRYPTION_KEY": "0p3n-s3s4me-of-the-app",
    "SENTRY_DSN": "https://9c1d5e7fa0b34c2d@errors.example.com/7",
    "DATABASE_URL": "postgresql://sergas_app:url-p4ssw0rd@127.0.0.1/sergas_prod",
    "SMTP_PASSWORD": "quoted # p4ssw0rd",
}
WRONG = {
    "client_secret": "wr0ng-client-secret-of-no-client",
    "password": "wr0ng-password-of-no-client",
    "key": "wr0ng-key-of-no-client",
}
#: One process, so that it sees more than it takes; in Perl, so that no Python is its own.
SAMPLER = r"""
until (-e "/tmp/seen.stop") {
    for (glob "/proc/[0-9]*/cmdline") {
        open(F, "<", $_) or next;
        local $/;
        my $line = <F> // "";
        close F;
        $line =~ tr/\0/ /;
        $seen{$line} = 1;
    }
    select(undef, undef, undef, 0.02);
}
open(F, ">", "/tmp/seen.partial");
print F join("\n", sort keys %seen);
close F;
rename "/tmp/seen.partial", "/tmp/seen";
"""
#: Where it is tried: what is seen of a secret is not a matter of the release.
RELEASES = reference.tried_on("bookworm")


def tasks():
    """Return the tasks that use secrets, well and badly.

    The secrets are in variables: of a literal in a playbook, Ansible shows the line where it fails.
    """
    new = {name: "{{ new.%s }}" % name for name in NEW}
    attacker = {"login_user": "ops", "login_password": "{{ wrong.password }}"}
    zoho = {"client_id": "{{ client_id }}", "client_secret": "{{ client_secret }}"}
    zoho["refresh_token"] = "{{ refresh_token }}"
    used = [
        {"zoho_token": {"state": "observed", "verify": True}},
        {"zoho_token": {"state": "valid"}},
        {"zoho_token": {"state": "refreshed", "max_age": 0, **zoho}},
        {"zoho_token": {"redis_password": "{{ wrong.password }}"}},
        {"zoho_token": {"state": "absent"}},
        {"zoho_token": {**zoho, "client_secret": "{{ wrong.client_secret }}"}},
        {"sergas_env": {"values": {**new, "ZOHO_SDK_CLIENT_SECRET": "{{ client_secret }}"}}},
        {"sergas_env": {"values": {"ENCRYPTION_KEY": ["no", "{{ new.ENCRYPTION_KEY }}"]}}},
        {"sergas_env": {"absent": list(NEW)}},
        {"sergas_health": {}},
        {"sergas_health": {"database_password": "{{ wrong.password }}", "checks": ["database"]}},
        {"sergas_health": {"redis_password": "{{ wrong.password }}", "checks": ["redis"]}},
        {"pg_connections": {}},
        {"pg_insights": {"login_db": "sergas_prod"}},
        {"pg_connections": attacker},
        {"pg_vacuum": {**attacker, "login_db": "sergas_prod"}},
        {"pg_retention": {**attacker, "login_db": "sergas_prod", "table": "audit_logs"}},
        {"pg_index": {**attacker, "login_db": "sergas_prod", "table": "x", "columns": ["y"]}},
        {"cognee_check": {}},
        {"cognee_check": {"api_key": "{{ wrong.key }}"}},
    ]
    return [
        {"sergas.ops." + name: options, "ignore_errors": True, "become": True}
        for task in used
        for name, options in task.items()
    ]


@pytest.fixture(scope="module")
def seen(fleet, world, tmp_path_factory):
    """Return (secrets, {where: text}) of all that could be seen while the modules ran."""
    directory = tmp_path_factory.mktemp("secrets")
    hosts = [fleet.fresh(fleet.of(release)[0]) for release in RELEASES]
    variables = {}
    for host in hosts:
        world.add_client(host)
        app = world.apps[host]
        variables[host] = {"client_id": app.id, "client_secret": app.secret}
        variables[host]["refresh_token"] = world.refresh_tokens[host]
        variables[host].update(new=NEW, wrong=WRONG)
        # What made the host ready is no part of the test.
        world.run(host, "journalctl --rotate; journalctl --vacuum-time=1s")
        reference.run(
            "podman", "exec", "--detach", reference.find(host).container, "perl", "-e", SAMPLER
        )
    own = playbook.inventory(directory / "own.json", variables)
    (directory / "play.yml").write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks()}])
    )
    wanted = dict.fromkeys(("sergas_zoho_hosts", "sergas_postgresql_hosts"), "all")
    wanted.update(sergas_report_dir=str(directory / "reports"), sergas_fail_on="never")
    texts = {
        "output of the modules": play(directory / "play.yml", hosts, own),
        "output of diagnose": play("sergas.ops.diagnose", hosts, own, **wanted),
    }
    for path in sorted((directory / "reports" / "latest").iterdir()):
        texts["report " + path.name] = path.read_text()
    for host in hosts:
        world.run(host, "touch /tmp/seen.stop")
        collected = "until [ -e /tmp/seen ]; do sleep 0.1; done; cat /tmp/seen"
        texts["processes of " + host] = world.run(host, collected)
        texts["journal of " + host] = world.run(host, "journalctl --no-pager --output=export")
    given = dict(line.split("=", 1) for line in HOSTS_ENV.read_text().splitlines() if "=" in line)
    secrets = world.secrets() | {given[name].strip('"') for name in IMAGE} | set(WRONG.values())
    # Of a URL, its password.
    secrets |= {NEW["ENCRYPTION_KEY"], NEW["SMTP_PASSWORD"], "9c1d5e7fa0b34c2d", "url-p4ssw0rd"}
    return secrets, texts


def play(name, hosts, own, **variables):
    """Run a playbook with all that Ansible can say, and return what it says."""
    words = playbook.command(name, "-vvv", "--diff", inventory=own, limit=hosts, **variables)
    done = playbook.run(words)
    assert "PLAY RECAP" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_no_secret_is_seen(seen):
    secrets, texts = seen
    found = {
        where: sorted(secret[:4] + "..." for secret in secrets if secret in text)
        for where, text in texts.items()
    }
    assert not {where: shown for where, shown in found.items() if shown}


def test_it_would_have_been_seen(seen):
    secrets, texts = seen
    # Both tokens and what goes with them were there to be seen, and the modules did their work.
    assert len(secrets) > len(RELEASES) * 4
    said = texts["output of the modules"]
    for id in ("zoho.token.ok", "zoho.token.invalid", "db.auth.failed", "redis.auth.failed"):
        assert id in said
    assert "ENCRYPTION_KEY" in said
    for where, text in texts.items():
        if where.startswith("processes"):
            assert "python3" in text
        if where.startswith("journal"):
            assert "zoho_token" in text
