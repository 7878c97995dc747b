# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on real hosts of each release, from addresses outside: seen, stopped for those who attack
and for no one else, unbanned again; and the ways in which fail2ban does nothing and looks well.

One host of each release goes through all of it side by side: bookworm with the text log style and
an operator's own jail.local; bullseye with iptables and an app that listens on IPv6 and so logs
IPv4 clients as IPv4-mapped addresses; trixie without any file of an operator's, and behind a
translation of addresses, so that sshd sees this machine at another address than the packet filter.
"""

from __future__ import annotations

import concurrent.futures
import ipaddress
import json
import subprocess
import time

import fleet as reference
import playbook
import pytest

LIBRARY = reference.FAULTS / "lib.sh"
#: Who attacks the app, who is named by the attacker, who may do all, who attacks sshd, who scans.
ATTACKER, LEGITIMATE, IGNORED, INTRUDER, SCANNER = ("203.0.113.%d" % n for n in range(9, 14))
ALL = " ".join((ATTACKER, LEGITIMATE, IGNORED, INTRUDER, SCANNER))
#: Over IPv6, whom sshd alone is there for: who attacks it, and who does not.
INTRUDER_6, LEGITIMATE_6 = "2001:db8::c", "2001:db8::a"
VARIABLES = {
    "sergas_serial": "100%",
    "sergas_fail2ban_ignore": [IGNORED],
    "sergas_fail2ban_app_maxretry": 5,
    "sergas_fail2ban_maxretry": 3,
    "sergas_fail2ban_blocktime": 45,
    "sergas_fail2ban_timeout": 120,
}
OWN = {"bullseye": {"sergas_fail2ban_firewall": "iptables"}}
TIMEOUT_S = 90
#: Where sshd of the host behind the translation sees this machine.
TRANSLATED = "198.51.100.77"
#: A client that is blocked before.
BLOCKED = "198.51.100.50"
#: Seconds until a host undoes a ban that cut this machine off.
DEADLINE_S = 10
#: A part of the role, with variables of each host's own.
BLOCK = """
- hosts: "{{ sergas_hosts }}"
  gather_facts: false
  tasks:
    - name: Block and unblock
      ansible.builtin.include_role: {name: sergas.ops.fail2ban, tasks_from: block}
"""
#: Both kinds of names are seen before the ban that comes of them.
FAILS = 3


def on(name, script, check=True):
    """Return what a shell script on a host prints, with what the faults share at hand."""
    words = ["podman", "exec", reference.find(name).container, "bash", "-c"]
    # The library wants to be sourced by a file; a script of ours may well test what fails.
    words.append("source /tmp/lib.sh; set +e +o pipefail; " + script)
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.strip()


def controller():
    """Return the address that packets of this machine have for the hosts."""
    return str(reference.network()[1])


def everywhere(hosts, function):
    """Return {host: what a function of its name gives}, on all hosts at once."""
    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        return dict(zip(hosts, pool.map(function, hosts)))


def eventually(condition, what):
    """Poll until a condition holds, and fail with what was waited for."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def banned(name, jail):
    """Return the addresses that a jail of a host bans."""
    script = "fail2ban-client get %s banip" % jail
    return set(on(name, script, check=False).split())


def status(name, address, port=8000, path="/health"):
    """Return the HTTP status that an address outside gets from a host, 000 for no answer."""
    return on(
        name,
        "ip netns exec outside curl --silent --max-time 3 --output /dev/null --write-out"
        " '%%{http_code}' --interface %s http://203.0.113.1:%d%s" % (address, port, path),
        check=False,
    )


def opens_6(name, address):
    """Return whether sshd of a host is open to an address outside over IPv6."""
    script = "import socket; socket.create_connection(('2001:db8::1', 22), 3, ('%s', 0))" % address
    found = on(
        name,
        'ip netns exec outside python3 -c "%s" 2> /dev/null && echo open || echo shut' % script,
    )
    return found == "open"


def login(address, user, count=FAILS):
    """Return a script that fails to log in from an address outside, as a user of any name."""
    data = json.dumps({"username": user, "password": "wrong"})
    return (
        "for n in $(seq %d); do ip netns exec outside curl --silent --max-time 3 --output /dev/null"
        " --interface %s --header 'Content-Type: application/json' --data '%s'"
        " http://203.0.113.1:8000/api/v1/login; done; " % (count, address, data)
    )


def play(hosts, *options, **variables):
    """Run harden.yml's part on hosts and return {host: {task: [results]}}."""
    words = playbook.command(
        "sergas.ops.harden",
        "--tags",
        "fail2ban",
        *options,
        inventory=own_inventory(hosts),
        **VARIABLES,
        sergas_hosts=",".join(hosts),
        **variables,
    )
    return playbook.play(words).results()


def break_in(address, target):
    """Return a script that fails to log in to sshd from an address outside.

    Who is banned in the middle of that hears nothing any more, and would wait for ever.
    """
    return (
        "for n in 1 2 3 4; do ip netns exec outside timeout 10 ssh -o BatchMode=yes"
        " -o ConnectTimeout=5 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        " -b %s intruder@%s true; done; " % (address, target)
    )


def block(hosts, own, *options):
    """Run the part of the role that blocks and return {host: {task: [results]}}.

    Args:
        hosts: {name: release}.
        own: {release: variables}; the others are left alone.
        options: of ansible-playbook.
    """
    chosen = {name: release for name, release in hosts.items() if release in own}
    path = reference.STATE / "test_fail2ban.yml"
    path.write_text(BLOCK)
    words = playbook.command(
        path,
        *options,
        inventory=own_inventory(chosen, own=own),
        **VARIABLES,
        sergas_hosts=",".join(chosen),
    )
    return playbook.play(words).results()


def notations(address):
    """Return ways in which logs, inventories and people write an IPv4 address."""
    number = int(ipaddress.IPv4Address(address))
    six = "%x:%x" % (number >> 16, number & 0xFFFF)
    mapped = ["::ffff:" + address, "::FFFF:" + six.upper(), "0:0:0:0:0:ffff:" + six]
    return [address, *mapped, "[%s]:443" % mapped[0], address + ":443", mapped[1] + "%eth0"]


def own_inventory(hosts, *groups, own=None):
    """Write the hosts' own variables and groups, and return the file."""
    more = own or {}
    own = {
        name: {**OWN.get(release, {}), **more.get(release, {})} for name, release in hosts.items()
    }
    path = reference.STATE / "test_fail2ban.json"
    return playbook.inventory(path, own, dict.fromkeys(groups, own))


@pytest.fixture(scope="module")
def hosts(fleet):
    """{name: release} of a host each, with a network outside and a port that a container
    publishes.
    """
    chosen = dict(zip(fleet.fresh_of_each(), reference.RELEASES))
    prepare = (
        "outside_network %s; ufw allow in on outside0 > /dev/null; "
        "ip address add 2001:db8::1/64 dev outside0 nodad;"
        " for six in %s %s; do ip -n outside address add $six/64 dev eth0 nodad; done; "
        % (ALL, INTRUDER_6, LEGITIMATE_6)
        # A container that publishes port 9999, as Docker does it: past ufw, by translation.
        + "ip netns add container; ip link add inside0 type veth peer name eth0 netns container;"
        " ip address add 172.30.0.1/24 dev inside0; ip link set inside0 up;"
        " ip -n container address add 172.30.0.2/24 dev eth0; ip -n container link set eth0 up;"
        " ip -n container route add default via 172.30.0.1; echo 1 > /proc/sys/net/ipv4/ip_forward;"
        " iptables -t nat -A PREROUTING -p tcp --dport 9999 -j DNAT --to-destination 172.30.0.2:80;"
        " iptables -I FORWARD -d 172.30.0.2 -j ACCEPT; iptables -I FORWARD -s 172.30.0.2 -j ACCEPT;"
        " mkdir -p /srv/web; systemd-run --quiet --unit=published ip netns exec container"
        " python3 -m http.server --directory /srv/web 80; "
    )
    by_release = {
        "bookworm": "printf '\\n[sergas-app]\\nmaxretry = 4\\n' >> /etc/fail2ban/jail.local;"
        " set_env LOG_FORMAT text; restart_app",
        # Of several workers, the listening socket takes IPv4, too.
        "bullseye": 'set_env WORKERS 2; dropin <<< "[Service]\nExecStart=\n'
        "$(systemctl cat sergas-app | grep ^ExecStart= | sed 's/--host 0.0.0.0/--host ::/')\";"
        " restart_app",
        "trixie": "rm /etc/fail2ban/jail.local; iptables -t nat -A INPUT -s %s -p tcp --dport 22"
        " -j SNAT --to-source %s" % (controller(), TRANSLATED),
    }

    def ready(name):
        container = reference.find(name).container
        reference.run("podman", "cp", LIBRARY, container + ":/tmp/lib.sh")
        on(name, prepare + by_release.get(chosen[name], ":"))

    everywhere(chosen, ready)
    return chosen


@pytest.fixture(scope="module")
def applied(hosts):
    """(planned, applied): what a check run of the playbook and a real one gave."""
    return play(hosts, "--check", "--diff"), play(hosts)


@pytest.fixture(scope="module")
def attacked(hosts, applied):
    """The hosts after attacks on all of them, each of which was waited for to be stopped."""

    def attack(name):
        # In the one log style a name within quotes, in the other a separate field.
        forged = "x remote_ip=%s from %s" % (LEGITIMATE, LEGITIMATE)
        structured = 'x\\", \\"remote_ip\\": \\"%s' % LEGITIMATE
        on(
            name,
            login(ATTACKER, forged)
            + login(ATTACKER, "INSERT").replace("INSERT", structured)
            + login(IGNORED, "anybody", 12)
            + break_in(INTRUDER, "203.0.113.1")
            + break_in(INTRUDER_6, "2001:db8::1"),
            check=False,
        )
        for jail, address in (("sergas-app", ATTACKER), ("sshd", INTRUDER), ("sshd", INTRUDER_6)):
            eventually(
                lambda jail=jail, address=address: address in banned(name, jail),
                "%s does not ban %s on %s" % (jail, address, name),
            )

    everywhere(hosts, attack)
    return hosts


def test_check_mode_plans_what_is_then_changed(hosts, applied):
    planned, done = applied
    for name in hosts:
        assert playbook.changes(planned[name]) == playbook.changes(done[name]) != []


def test_operators_own_settings_count_and_are_reported(hosts, applied):
    for name, release in hosts.items():
        if release == "bookworm":
            done = applied[1][name]["Set the jails up and verify that they work"][0]
            listed = [item for item in done["overridden"] if item["jail"] == "sergas-app"]
            assert [(item["key"], item["ours"], item["theirs"]) for item in listed] == [
                ("maxretry", "5", "4")
            ]
            assert on(name, "fail2ban-client get sergas-app maxretry") == "4"


def test_who_attacks_reaches_nothing_any_more(attacked):
    def reached(name):
        return [
            status(name, ATTACKER),
            status(name, ATTACKER, 9999, "/"),
            status(name, INTRUDER),
            status(name, INTRUDER, 9999, "/"),
            opens_6(name, INTRUDER_6),
        ]

    assert everywhere(attacked, reached) == dict.fromkeys(attacked, ["000"] * 4 + [False])


def test_no_one_else_is_banned(attacked):
    def reached(name):
        passing = {
            (status(name, address), status(name, address, 9999, "/"))
            for address in (LEGITIMATE, IGNORED)
        }
        six = opens_6(name, LEGITIMATE_6)
        return passing, six, banned(name, "sergas-app"), banned(name, "sshd")

    expected = ({("200", "200")}, True, {ATTACKER}, {INTRUDER, INTRUDER_6})
    assert everywhere(attacked, reached) == dict.fromkeys(attacked, expected)


def test_who_is_unbanned_gets_in_again(attacked):
    def unban(name):
        on(name, "fail2ban-client unban %s %s %s" % (ATTACKER, INTRUDER, INTRUDER_6))
        eventually(
            lambda: (
                (status(name, ATTACKER), status(name, INTRUDER)) == ("200", "200")
                and opens_6(name, INTRUDER_6)
            ),
            "%s stays shut for those that were unbanned" % name,
        )

    everywhere(attacked, unban)


def test_jail_that_would_watch_nothing_is_refused(attacked):
    before = everywhere(attacked, lambda name: on(name, "cat /etc/fail2ban/jail.d/sergas.conf"))
    results = play(attacked, sergas_service="ghost", sergas_fail2ban_app=True)
    refusals = [
        result
        for many in results.values()
        for result in many.get("Compare the jails with the declared ones", [])
    ]
    assert refusals and all(
        result.get("failed") and "ghost.service is no unit of this host" in result["msg"]
        for result in refusals
    )
    after = everywhere(attacked, lambda name: on(name, "cat /etc/fail2ban/jail.d/sergas.conf"))
    assert after == before


def denied(name):
    """Return all that denies anything on a host: bans, rules of ufw and of the packet filter."""
    return on(
        name,
        "fail2ban-client get sergas-blocked banip; ufw show added;"
        " nft list table inet sergas-fail2ban 2> /dev/null | sed 's/packets [0-9]* bytes [0-9]*//';"
        " iptables -t raw -S 2> /dev/null",
    )


def test_no_notation_of_ours_is_banned_and_no_ban_cuts_the_run_off(attacked):
    """One run: bookworm is given our own addresses, trixie one that it cannot know to be ours,
    bullseye an attacker as its app logs it.
    """
    release = {release: name for name, release in attacked.items()}
    bullseye, bookworm, trixie = (release[one] for one in ("bullseye", "bookworm", "trixie"))
    ours = [controller(), reference.find(trixie).address, str(reference.network()[2])]
    for name in (bullseye, trixie):
        on(
            name,
            "set_jail() { fail2ban-client set sergas-blocked $@; };"
            " set_jail bantime 900; set_jail banip %s; set_jail bantime 45" % BLOCKED,
        )
        eventually(lambda name=name: BLOCKED in on(name, "ufw status"), "%s is not blocked" % name)
    before = {name: denied(name) for name in (bookworm, trixie)}
    began = time.monotonic()
    results = block(
        attacked,
        {
            "bookworm": {"sergas_block": [text for one in ours for text in notations(one)]},
            "trixie": {
                "sergas_block": ["::ffff:" + controller(), BLOCKED],
                "sergas_fail2ban_deadline": DEADLINE_S,
            },
            "bullseye": {
                "sergas_block": ["::FFFF:" + LEGITIMATE],
                "sergas_unblock": ["[::ffff:%s]:443" % BLOCKED],
            },
        },
    )
    assert time.monotonic() - began < DEADLINE_S + 60
    # Ours are refused by name, all of them.
    ((task, failed),) = playbook.failures(results[bookworm]).items()
    assert task == "Plan which addresses to ban" and "nothing was changed" in failed
    assert all(one in failed for one in ours)
    # What no one could know is undone, and what was there before is still there.
    failed = playbook.failures(results[trixie])
    reason = failed.pop("Fail with the reason why the addresses are not banned")
    assert "has rolled back the ban of %s," % controller() in reason
    assert list(failed) in (
        ["Connect to the host over a new connection"],
        ["Disarm the host's restore point"],
    ), failed
    assert {name: denied(name) for name in (bookworm, trixie)} == before
    # Who attacks is blocked as the packet filter sees it, and unblocked in any notation.
    assert not playbook.failures(results[bullseye])
    assert banned(bullseye, "sergas-blocked") == {LEGITIMATE}
    assert status(bullseye, LEGITIMATE) == "000"
    on(bullseye, "fail2ban-client set sergas-blocked unbanip %s" % LEGITIMATE)
    on(trixie, "fail2ban-client set sergas-blocked unbanip %s" % BLOCKED)


#: An address of ours that an operator has banned by hand.
OURS = "192.0.2.77"
BREAK = {
    "bullseye": ("systemctl stop fail2ban", "security.jail.dead"),
    "bookworm": (
        "fail2ban-client set sergas-blocked banip 198.51.100.9 && eventually 60 nft get element"
        " inet sergas-fail2ban sergas-blocked-4 '{ 198.51.100.9 }'"
        " && nft flush set inet sergas-fail2ban sergas-blocked-4",
        "security.ban.ineffective",
    ),
    "trixie": ("fail2ban-client set sergas-app banip " + OURS, "security.ban.legitimate_client"),
}


def test_what_is_broken_is_found_and_fixed(attacked, fix):
    everywhere(attacked, lambda name: on(name, BREAK[attacked[name]][0]))
    done = fix(
        list(attacked),
        inventory=own_inventory(attacked, "sergas_fail2ban"),
        sergas_remedies=["set_up_jails"],
        **dict(VARIABLES, sergas_fail2ban_ignore=[IGNORED, OURS]),
    )
    for name, release in attacked.items():
        entry = done.entries[name, "set_up_jails"]
        assert entry["outcome"] == "kept", (name, entry)
        assert BREAK[release][1] in {item["id"] for item in entry["before"]}, (name, entry)
        assert on(name, "systemctl is-active fail2ban") == "active"
        assert OURS not in banned(name, "sergas-app")


def test_attackers_are_blocked_for_a_time_and_no_one_of_ours(attacked, fix):
    """Who guessed a password, too, has all sessions revoked by the app's own script."""
    script = "/usr/local/lib/revoke_sessions.py"

    def scan(name):
        good = {"username": "operator", "password": "fleet-operator-pass"}
        on(
            name,
            'echo \'import sys; open("/tmp/revoked", "a").write(" ".join(sys.argv[1:]))\' > %s; '
            % script
            + login(IGNORED, "operator", 25)
            + "from %s /api/v1/login --header 'Content-Type: application/json' --data '%s'; "
            % (IGNORED, json.dumps(good))
            + "for n in $(seq 65); do from %s /api/v1/admin/backup$n; done;"
            " eventually 30 logged backup65" % SCANNER,
        )

    everywhere(attacked, scan)
    done = fix(
        list(attacked),
        inventory=own_inventory(attacked),
        sergas_remedies=["block_addresses", "revoke_sessions"],
        sergas_approve=["revoke_sessions"],
        sergas_revoke_script=script,
        **VARIABLES,
    )
    for name in attacked:
        assert done.outcome(name, "block_addresses") == "kept", done.entries
        attackers = [
            item["address"]
            for finding in done.entries[name, "block_addresses"]["before"]
            for item in finding["evidence"]["addresses"]
        ]
        # However the app has logged them.
        assert {SCANNER, IGNORED} <= set(attackers) and not any(":" in one for one in attackers)
        # IGNORED has failed more often than anybody, and is one of ours.
        log = on(name, "grep -h 'NOTICE.*sergas-blocked.*Ban' /var/log/fail2ban.log")
        assert "Ban " + SCANNER in log and IGNORED not in log
        assert done.outcome(name, "revoke_sessions") == "kept", done.entries
        assert on(name, "cat /tmp/revoked") == "--older-than 7d"

    def expires(name):
        eventually(
            lambda: status(name, SCANNER) == "200", "%s is not unbanned by %s" % (SCANNER, name)
        )
        eventually(
            lambda: SCANNER not in on(name, "ufw status"), "ufw denies %s for ever" % SCANNER
        )

    everywhere(attacked, expires)
