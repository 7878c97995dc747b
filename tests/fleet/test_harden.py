# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""harden.yml as a whole, on hosts of each release that have neither ufw nor fail2ban yet."""

from __future__ import annotations

import concurrent.futures

import fleet as reference
import playbook
import pytest

#: As on a host that is not hardened, down to the app's keys.
BARE = """
export DEBIAN_FRONTEND=noninteractive
ufw --force disable > /dev/null
apt-get purge --yes --quiet ufw fail2ban > /dev/null
rm -rf /etc/ufw /etc/fail2ban /var/lib/fail2ban
sed -i '/^ENABLE_RATE_LIMITING=/d' /home/sergas/super-account-manager/.env
chmod 0644 /home/sergas/super-account-manager/.env
"""
#: The tasks that know of the whole change beforehand, and tell it as a diff.
TELLING = (
    "Compare ufw with the declared rules",
    "Set the jails up and verify that they work",
    "Remove access to the app's .env for other users",
)


@pytest.fixture(scope="module")
def hosts(fleet):
    """{name: Host} of a bare host of each release."""
    found = {name: reference.find(name) for name in fleet.fresh_of_each()}
    with concurrent.futures.ThreadPoolExecutor(len(found)) as pool:
        list(pool.map(lambda host: reference.on(host, BARE), found.values()))
    return found


@pytest.fixture(scope="module")
def runs(hosts):
    """{check, apply, again}: what each run of the playbook Played.

    The last one is in check mode, too: a second real run of each role is in molecule's scenarios.
    """
    inventory = playbook.inventory(
        reference.STATE / "test_harden.json", {}, {"sergas_app": hosts, "sergas_fail2ban": hosts}
    )
    variables = {
        "sergas_hosts": ",".join(hosts),
        "sergas_serial": "100%",
        # Hosts share two cores.
        "sergas_firewall_deadline": 300,
        "sergas_fail2ban_timeout": 120,
    }

    def play(*options):
        words = playbook.command(
            "sergas.ops.harden", "--diff", *options, inventory=inventory, **variables
        )
        return playbook.play(words)

    return {"check": play("--check"), "apply": play(), "again": play("--check")}


def test_check_mode_tells_all_of_it_where_nothing_is_installed(hosts, runs):
    for name in hosts:
        check, apply = (runs[run].results()[name] for run in ("check", "apply"))
        assert not playbook.failures(check) and not playbook.failures(apply)
        predicted, done = (runs[run].diffs()[name] for run in ("check", "apply"))
        for task in TELLING:
            assert predicted[task] == done[task], (name, task)


def test_check_mode_tells_of_nothing_where_all_is_done(hosts, runs):
    for name in hosts:
        assert playbook.changes(runs["again"].results()[name]) == []


def test_host_is_hardened(hosts, runs):
    for host in hosts.values():
        script = (
            "ufw status | head -n 1; systemctl is-active fail2ban; systemctl is-enabled ufw"
            " fail2ban; fail2ban-client status | grep -c 'sergas-app.*sshd';"
            " cd /home/sergas/super-account-manager && stat -c %a .env;"
            " grep ENABLE_RATE_LIMITING .env"
        )
        assert reference.on(host, script).stdout.split("\n")[:-1] == [
            "Status: active",
            "active",
            "enabled",
            "enabled",
            "1",
            "640",
            "ENABLE_RATE_LIMITING=true",
        ], host.name


#: What an app's user can put in the place of the .env, or root: a script, and why it is refused,
#: None if it is wanted.
REPLACED = (
    (
        "su -s /bin/sh sergas -c 'mv .env real.env && ln -s /etc/passwd .env'",
        "is a link to /etc/passwd, which is not followed: user sergas made it, not root",
    ),
    # The kernel does not let the app's user do this one, where it is set so.
    ("mv .env real.env; ln /etc/passwd .env", "is one of 2 names of the same file"),
    (
        "mkdir -p /etc/sergas && cp -a .env /etc/sergas/app.env && chmod 0644 /etc/sergas/app.env"
        " && mv .env real.env && ln -s /etc/sergas/app.env .env",
        None,
    ),
)
BACK = "cd /home/sergas/super-account-manager && rm .env && mv real.env .env; rm -rf /etc/sergas"


@pytest.fixture
def replaced(hosts, runs):
    """{name: why it is refused} of hosts whose .env is another file's name, each in its own way."""
    found = {}
    for (name, host), (script, why) in zip(hosts.items(), REPLACED):
        reference.on(host, "cd /home/sergas/super-account-manager && " + script)
        found[name] = why
    yield found
    for host in hosts.values():
        reference.on(host, BACK)


def test_root_writes_no_file_that_the_apps_user_points_at(hosts, replaced):
    inventory = playbook.inventory(
        reference.STATE / "test_harden_links.json", {}, {"sergas_app": hosts}
    )
    show = (
        "stat -c '%n %a %U %h' /etc/passwd; sha256sum /etc/passwd;"
        " stat -L -c '%a %U' /etc/sergas/app.env 2>/dev/null;"
        " stat -c %F /home/sergas/super-account-manager/.env"
    )
    before = {name: reference.on(host, show).stdout for name, host in hosts.items()}
    results = {}
    # Those that are refused end the play, as any failure of hardening does.
    for names in (
        [name for name, why in replaced.items() if why],
        [name for name, why in replaced.items() if not why],
    ):
        words = playbook.command(
            "sergas.ops.harden",
            "--tags=keys",
            inventory=inventory,
            sergas_hosts=",".join(names),
            sergas_serial="100%",
        )
        found = playbook.play(words).results()
        # What is decided on the controller is a result of the first host, whichever are hardened.
        results.update({name: found[name] for name in names})
    for name, why in replaced.items():
        failed = playbook.failures(results[name])
        after = reference.on(hosts[name], show).stdout
        if why:
            assert why in str(failed), (name, failed)
            assert after == before[name], name
        else:
            assert not failed, failed
            assert after == before[name].replace("\n644 sergas", "\n640 sergas") != before[name]
            assert "symbolic link" in after
