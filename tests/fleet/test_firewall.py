# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall of real hosts of each release, seen from other hosts; and the ways to lock oneself
out of them, each of which the host comes back from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import fleet as reference
import playbook
import pytest
import reports

PLAYBOOK = """
- hosts: "{{ sergas_hosts }}"
  gather_facts: false
  tasks:
    - name: Set the firewall up
      ansible.builtin.include_role:
        name: sergas.ops.firewall
        tasks_from: "{{ part | default('main') }}"
"""
#: The hosts' groups, which ``command`` writes.
INVENTORY = reference.STATE / "test_firewall.json"
#: No host is here, in any test.
ELSEWHERE = "203.0.113.7"
#: Seconds: what a host needs to go back, on two cores that a dozen hosts share.
DEADLINE = 15
TIMEOUT = 120


@pytest.fixture(scope="module")
def balancer():
    """The fleet's balancer, which is up for these tests only unless it was before."""
    with contextlib.suppress(reference.FleetError):
        yield reference.find(reference.BALANCER)
        return
    host = reference.plan(0, list(reference.RELEASES), True)[-1]
    reference.renew([host])
    yield host
    reference.remove([host])


@pytest.fixture(scope="module")
def hosts(fleet, balancer):
    """A fresh host of each release, by name."""
    return {name: reference.find(name) for name in fleet.fresh_of_each()}


def written():
    """Write PLAYBOOK and return its path."""
    path = reference.STATE / "test_firewall.yml"
    path.write_text(PLAYBOOK)
    return path


def command(hosts, balancer, variables, *options, name=None):
    """Return the command for a playbook on hosts that are the whole fleet.

    Args:
        hosts: {name: Host}.
        balancer: the Host that queries their app.
        variables: {host or None for all: {name: value}}.
        options: of ansible-playbook.
        name: that of the playbook, if it is not PLAYBOOK.
    """
    name = name or written()
    backends = ["%s:8000" % host.address for host in hosts.values()]
    apps = {host: variables.get(host, {}) for host in hosts}
    own = playbook.inventory(
        INVENTORY,
        {**apps, balancer.name: {"ansible_host": balancer.address, "sergas_backends": backends}},
        {
            "sergas_lb": [balancer.name],
            **dict.fromkeys(("sergas_app", "sergas_postgresql", "sergas_firewall"), apps),
        },
    )
    everywhere = {"sergas_hosts": ",".join(hosts), **variables.get(None, {})}
    return playbook.command(name, *options, inventory=own, **everywhere)


def play(hosts, balancer, variables, *options):
    """Run PLAYBOOK and return {host: {task: [results]}}."""
    return playbook.play(command(hosts, balancer, variables, *options)).results()


def query(host, script):
    """Return what a shell command on a host prints."""
    return reference.on(host, script).stdout.strip()


def opens(source, address, port):
    """Return whether a TCP connection comes about, from a host or (None) from this machine."""
    if source is None:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2):
            return True
        return False
    script = "timeout 2 bash -c '</dev/tcp/%s/%d'" % (address, port)
    return reference.on(source, script, check=False).returncode == 0


def rules(host):
    """Return all that decides for a host's traffic: ufw's files and what the kernel has."""
    return query(
        host,
        "ufw status verbose; cat /etc/default/ufw /etc/ufw/ufw.conf /etc/ufw/user.rules"
        " /etc/ufw/user6.rules; iptables -S | sort; ip6tables -S | sort; nft list tables",
    )


def controller():
    """Return the address that the hosts see this machine at."""
    return str(reference.network()[1])


def admins():
    """Return the variables that leave a host to what is declared, and its SSH to this machine."""
    return {"sergas_firewall_admin_addresses": [controller()], "sergas_firewall_exclusive": True}


#: A container as Docker publishes one: a separate network, translations that ufw never sees.
PUBLISH = """
ip netns add box && ip link add box0 type veth peer name eth0 netns box
ip address add 172.29.0.1/24 dev box0 && ip link set box0 up
ip -n box address add 172.29.0.2/24 dev eth0 && ip -n box link set eth0 up
ip -n box route add default via 172.29.0.1
sysctl -q -w net.ipv4.ip_forward=1
iptables -t nat -N DOCKER && iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A DOCKER ! -i box0 -p tcp --dport 8088 -j DNAT --to-destination 172.29.0.2:80
iptables -I FORWARD 1 -o box0 -j ACCEPT && iptables -I FORWARD 1 -i box0 -j ACCEPT
systemd-run --quiet --unit box ip netns exec box python3 -m http.server 80
until curl -s -o /dev/null http://172.29.0.2/; do sleep 0.1; done
"""


@pytest.fixture(scope="module")
def hardened(hosts, balancer):
    """What came of the role on hosts that are each open in another way: results and what is open.

    The first one's ufw is as on a fresh host, the second one's uses the kernel's old tables, and a
    container publishes a port on the third.
    """
    fresh, legacy, docker = hosts.values()
    for host in hosts.values():
        query(
            host,
            "cd /etc/postgresql/*/main && echo \"listen_addresses = '*'\" > conf.d/zz-test.conf"
            " && systemctl restart 'postgresql@*' && ufw allow 5432/tcp > /dev/null"
            " && ip -6 address add fd00:77::%s/64 dev eth0 nodad" % host.address.split(".")[-1],
        )
    query(balancer, "ip -6 address add fd00:77::2/64 dev eth0 nodad")
    query(fresh, "ufw --force reset > /dev/null && rm -f /etc/ufw/*.rules.2*")
    query(
        legacy,
        "ufw --force disable > /dev/null && update-alternatives --set iptables"
        " /usr/sbin/iptables-legacy && update-alternatives --set ip6tables"
        " /usr/sbin/ip6tables-legacy && ufw --force enable",
    )
    query(docker, PUBLISH)
    variables = {
        None: {
            **admins(),
            "sergas_firewall_rules": [{"from": "fd00:77::2", "port": 8000}],
            "sergas_firewall_logging": "medium",
            # Hosts share two cores.
            "sergas_firewall_deadline": 300,
        }
    }
    before = {
        "exposed": opens(balancer, docker.address, 8088),
        "found": play(
            hosts, balancer, {**variables, None: {**variables[None], "part": "diagnose"}}
        ),
    }
    names = {
        "check": play(hosts, balancer, variables, "--check"),
        "apply": play(hosts, balancer, variables),
    }
    return before, names


def test_what_is_open_and_should_not_be_is_found(hardened, hosts):
    before, _runs = hardened
    found = {}
    for name in hosts:
        result = before["found"][name]["Check the firewall of the host"][0]
        found[name] = {
            (item["id"], item["status"], item["evidence"].get("port"))
            for item in result["findings"]
        }
    fresh, legacy, docker = (found[name] for name in hosts)
    assert ("security.firewall.drift", "fail", None) in fresh
    assert ("security.ports.exposed", "fail", 5432) in legacy
    assert ("security.ports.exposed", "fail", 8088) in docker and before["exposed"]


def test_check_mode_says_what_is_then_done(hardened, hosts):
    _before, runs = hardened
    for name, host in hosts.items():
        compared = "Compare ufw with the declared rules"
        [predicted] = runs["check"][name][compared]
        [actual] = runs["apply"][name][compared + " over the new connection"]
        assert predicted["after"] == actual["before"]
        ufw = {"Change the rules of ufw", "Set the log level of ufw", "Enable ufw"}
        # Of each rule, too.
        changed = [ufw & set(playbook.changes(runs[run][name])) for run in ("check", "apply")]
        assert changed[0] == changed[1]
        steps = [runs[run][name].get("Change the rules of ufw", ()) for run in ("check", "apply")]
        assert [[step["changed"] for step in many] for many in steps] == [
            [True] * len(predicted["steps"])
        ] * 2
        assert "Status: active" in query(host, "ufw status")


def test_each_port_is_open_to_whom_it_is_declared_for(hardened, hosts, balancer):
    for host in hosts.values():
        peer = next(other for other in hosts.values() if other != host)
        six = "fd00:77::" + host.address.split(".")[-1]
        seen = {
            "controller": [opens(None, host.address, port) for port in (22, 8000, 5432)],
            "balancer": [opens(balancer, host.address, port) for port in (22, 8000, 5432)],
            "peer": [opens(peer, host.address, port) for port in (22, 8000, 5432)],
            "balancer over IPv6": [opens(balancer, six, port) for port in (22, 8000, 5432)],
            "peer over IPv6": [opens(peer, six, port) for port in (22, 8000, 5432)],
        }
        assert seen == {
            "controller": [True, False, False],
            "balancer": [False, True, False],
            "peer": [False, True, True],
            # The app listens on IPv4 only: what is allowed is refused by nothing but the kernel.
            "balancer over IPv6": [False, False, False],
            "peer over IPv6": [False, False, False],
        }, host.name
        dropped = (
            "timeout 2 bash -c '</dev/tcp/%s/%d'; [ $? = 124 ] && echo dropped || echo answered"
        )
        assert [query(balancer, dropped % (six, port)) for port in (8000, 5432)] == [
            "answered",
            "dropped",
        ]


def test_a_published_port_is_closed_but_for_the_host_itself(hardened, hosts, balancer):
    docker = list(hosts.values())[-1]
    assert not opens(balancer, docker.address, 8088)
    assert not opens(None, docker.address, 8088)
    assert query(docker, "curl -s -o /dev/null -w '%{http_code}' http://172.29.0.2/") == "200"
    # It is closed before containers start, however they are restarted.
    query(docker, "systemctl restart sergas-published-ports && ufw reload > /dev/null")
    assert not opens(balancer, docker.address, 8088)


def test_who_would_be_shut_out_is_refused_and_nothing_changes(hosts, balancer):
    before = {name: rules(host) for name, host in hosts.items()}
    deny = {"action": "deny"}
    attempts = [
        {"sergas_firewall_rules": [{**deny, "from": balancer.address, "port": 8000}]},
        {"sergas_firewall_rules": [deny], "sergas_firewall_monitoring_addresses": ["198.51.100.9"]},
        {
            "sergas_firewall_admin_addresses": [ELSEWHERE],
            "sergas_firewall_controllers": ["2001:db8::5"],
            "sergas_firewall_exclusive": True,
        },
    ]
    results = play(hosts, balancer, dict(zip(hosts, attempts)))
    reasons = [playbook.failures(results[name]) for name in hosts]
    for reason, address in zip(reasons, (balancer.address, "198.51.100.9", "2001:db8::5")):
        assert list(reason) == ["Refuse to lock out clients that must stay allowed"]
        assert address in next(iter(reason.values()))
    assert {name: rules(host) for name, host in hosts.items()} == before


def test_the_session_gets_in_whatever_is_declared(hosts, balancer):
    """SSH is denied to all but an address elsewhere: the run's own one is allowed first."""
    variables = {
        "sergas_firewall_admin_addresses": [ELSEWHERE],
        "sergas_firewall_rules": [{"action": "deny", "port": "ssh"}],
        "sergas_firewall_exclusive": True,
    }
    results = play(hosts, balancer, {None: variables}, "--check")
    for name in hosts:
        assert not playbook.failures(results[name])
        after = results[name]["Compare ufw with the declared rules"][0]["after"]
        first = next(line for line in after.splitlines() if " port 22 " in line)
        assert first.startswith("allow from %s to any port 22 proto tcp" % controller())


@dataclasses.dataclass(frozen=True)
class LockOut:
    """A way to lock oneself out: what the host is made to be and what is declared."""

    name: str
    variables: dict
    prepare: str = "true"
    repair: str = "true"
    #: the task that tells of it, unless the host has gone back before that, on a busy machine
    failed_task: str = "Connect to the host over a new connection"


#: Whichever of them comes first after the host has gone back automatically.
GONE_BACK = {
    "Verify that the connection is new and the rules are as declared",
    "Disarm the host's restore point",
}
REHEARSAL = {
    "sergas_firewall_refuse": False,
    "sergas_firewall_exclusive": True,
    "sergas_firewall_deadline": DEADLINE,
}
WITHOUT_SSH = LockOut("without SSH", {**REHEARSAL, "sergas_firewall_admin_addresses": [ELSEWHERE]})
WRONG_PORT = LockOut(
    "wrong port",
    {
        **REHEARSAL,
        "sergas_firewall_admin_addresses": [ELSEWHERE],
        "sergas_firewall_rules": [{"port": "2222"}],
    },
)
IPV6_ONLY = LockOut(
    "IPv6 only", {**REHEARSAL, "sergas_firewall_admin_addresses": ["fd00:77::/64", "::/0"]}
)
#: What ufw's rules do not show beforehand, and what cuts the connection that is there, too.
HIDDEN = LockOut(
    "hidden in before.rules",
    {"sergas_firewall_deadline": DEADLINE},
    "ufw --force disable > /dev/null && sed -i '/^# End required lines/a"
    " -A ufw-before-input -p tcp --dport 22 -j DROP' /etc/ufw/before.rules",
    "sed -i '/dport 22 -j DROP/d' /etc/ufw/before.rules && ufw --force enable > /dev/null",
)
BALANCER_LOST = LockOut(
    "balancer lost",
    {
        **REHEARSAL,
        "sergas_firewall_rules": [{"action": "deny", "from": "{{ balancer }}", "port": 8000}],
    },
    failed_task="Verify that the app still answers its balancers",
)


def reachable(host):
    """Return whether a new connection of SSH can be made and used."""
    words = ["ssh", "-i", str(reference.STATE / "id_ed25519"), "-o", "ControlPath=none"]
    words += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    words += ["-o", "ConnectTimeout=2", "-o", "BatchMode=yes", "root@" + host.address, "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def eventually(what, seconds=TIMEOUT):
    """Poll until something is true, and return whether it came to be."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True


@pytest.mark.parametrize(
    "attempts",
    [
        pytest.param((WITHOUT_SSH, WRONG_PORT, IPV6_ONLY), id="rules"),
        pytest.param((HIDDEN, HIDDEN, BALANCER_LOST), id="hidden"),
        pytest.param((BALANCER_LOST, IPV6_ONLY, HIDDEN), id="turned"),
    ],
)
def test_a_host_that_is_locked_comes_back_with_its_old_rules(attempts, hardened, hosts, balancer):
    for attempt, host in zip(attempts, hosts.values()):
        query(host, attempt.prepare)
    before = {name: rules(host) for name, host in hosts.items()}
    variables = {name: attempt.variables for name, attempt in zip(hosts, attempts)}
    results = play(hosts, balancer, {**variables, None: {"balancer": balancer.address}})
    for attempt, (name, host) in zip(attempts, hosts.items()):
        failed = playbook.failures(results[name])
        failed_task = set(failed) - {"Fail with the reason of the roll-back"}
        assert len(failed_task) == 1 and failed_task <= {attempt.failed_task, *GONE_BACK}, failed
        said = " ".join(failed["Fail with the reason of the roll-back"].split())
        assert "has its old rules again. " + failed_task.pop() in said
        assert reachable(host), attempt.name
        assert opens(balancer, host.address, 8000)
        assert rules(host) == before[name], attempt.name
        query(host, attempt.repair)


def test_a_run_that_is_killed_leaves_no_host_locked(hardened, hosts, balancer):
    before = {name: rules(host) for name, host in hosts.items()}
    everywhere = {**WITHOUT_SSH.variables, "sergas_firewall_deadline": 2 * DEADLINE}
    run = subprocess.Popen(
        command(hosts, balancer, {None: everywhere}),
        env=playbook.environment(),
        cwd=playbook.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    locked = eventually(lambda: not any(opens(None, h.address, 22) for h in hosts.values()), 150)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert locked
    assert not any(reachable(host) for host in hosts.values())
    for name, host in hosts.items():
        assert eventually(lambda host=host: reachable(host)), name
        assert eventually(lambda host=host, name=name: rules(host) == before[name], 30), name
    # And nothing of the dead run is in the way of the next one.
    results = play(hosts, balancer, {None: {**admins(), "sergas_firewall_deadline": 300}})
    assert not any(playbook.failures(results[name]) for name in hosts)


def test_rules_that_a_dead_run_was_about_to_keep_are_verified_and_kept(hardened, hosts, balancer):
    """All rules are as declared, so nothing is changed; in ten minutes the hosts would roll them
    back.
    """
    left = {
        "name": "firewall",
        "files": ["/etc/ufw/user.rules", "/etc/ufw/user6.rules"],
        "commands": [["ufw", "reload"]],
        "deadline": 600,
    }
    for name in hosts:
        armed = playbook.module(name, "sergas.ops.restore_point", state="armed", **left)
        assert armed["changed"], armed
    before = {name: rules(host) for name, host in hosts.items()}
    results = play(hosts, balancer, {None: {**admins(), "sergas_firewall_deadline": 300}})
    for name, host in hosts.items():
        assert playbook.changes(results[name]) == []
        seen = playbook.module(name, "sergas.ops.restore_point", name="firewall", state="observed")
        assert seen["state"] == "none", seen
        assert rules(host) == before[name]


def test_what_the_balancer_cannot_reach_is_found_from_its_side_and_fixed(
    hardened, hosts, balancer, tmp_path
):
    """Each host keeps the balancer off in another way; of the rest nothing is touched."""
    faults = [
        "ufw delete allow from {0} to any port 8000 proto tcp",
        "ufw insert 1 deny from {0}/29 to any port 8000 proto tcp",
        "ufw deny from {0} to any port 8000 proto tcp",
    ]
    for fault, name in zip(faults, hosts):
        query(hosts[name], fault.format(balancer.address) + " > /dev/null")
    assert not any(opens(balancer, host.address, 8000) for host in hosts.values())
    variables = {
        None: {
            "sergas_apply": True,
            "sergas_max_share": 1,
            "sergas_fail_on": "never",
            "sergas_report_dir": str(tmp_path),
            "sergas_hosts": ",".join([*hosts, balancer.name]),
            "sergas_postgresql_hosts": "all:!all",
            "sergas_security_hosts": "all:!all",
            "sergas_deadline": 40,
            "sergas_skip": playbook.HOST_WIDE,
            "sergas_batches": ["100%"],
        }
    }
    playbook.play(command(hosts, balancer, variables, name="sergas.ops.fix"))
    report = reports.latest(tmp_path)
    assert all(opens(balancer, host.address, 8000) for host in hosts.values()), report["roots"]
    assert shlex.split(query(hosts[list(hosts)[1]], "ufw status | grep -c DENY")) == ["1"]
    assert not report["roots"]


def test_a_firewall_that_was_opened_by_hand_is_brought_back(hardened, hosts, balancer, fix):
    name, host = next(iter(hosts.items()))
    query(host, "ufw allow 5432/tcp > /dev/null")
    assert opens(None, host.address, 5432)
    command(hosts, balancer, {})
    given = {
        **admins(),
        "inventory": INVENTORY,
        "sergas_remedies": ["apply_firewall"],
        "sergas_postgresql_hosts": "all:!all",
        "sergas_zoho_hosts": "all:!all",
        "sergas_skip": playbook.HOST_WIDE,
        "sergas_firewall_deadline": 300,
    }
    approved = {**given, "sergas_approve": ["apply_firewall"]}
    held = fix([name], **given)
    assert held.outcome(name, "apply_firewall") == "guarded" and not held.changed
    planned = fix([name], check=True, **approved)
    applied = fix([name], **approved)
    assert planned.outcome(name, "apply_firewall") == "would apply", planned.describe(name)
    assert applied.outcome(name, "apply_firewall") == "kept", applied.describe(name)
    assert planned.changed[name] and planned.changed[name].keys() <= applied.changed[name].keys()
    assert not opens(None, host.address, 5432)
    again = fix([name], **given)
    assert not again.changed and not again.entries, again.describe(name)


@contextlib.contextmanager
def resolved_here(name, address):
    """Have a name resolved on this machine, and nowhere else."""
    path, line = Path("/etc/hosts"), "%s %s\n" % (address, name)
    with path.open("a") as file:
        file.write(line)
    try:
        yield
    finally:
        path.write_text(path.read_text().replace(line, ""))


def test_a_balancer_is_allowed_by_the_address_that_it_connects_from(hosts, balancer, fix):
    """What Ansible reaches one balancer at is for management only; another one has just a name,
    which the host cannot resolve. The diagnosis, its remedy and the role take the same addresses.
    """
    name, host = next(iter(hosts.items()))
    network = reference.network()
    management, data, by_name = balancer.address, str(network[-9]), str(network[-10])
    for address in (data, by_name):
        query(balancer, "ip address replace %s/%d dev eth0" % (address, network.prefixlen))
    query(
        host,
        "ufw --force reset > /dev/null && rm -f /etc/ufw/*.rules.2* && ufw allow 22/tcp > /dev/null"
        " && ufw --force enable > /dev/null",
    )
    named = "named-%s.sergas.test" % balancer.name
    inventory = playbook.inventory(
        reference.STATE / "test_addresses.json",
        {
            name: {},
            balancer.name: {"ansible_host": management, "sergas_addresses": [data]},
            named: {},
        },
        {"sergas_app": [name], "sergas_lb": [balancer.name, named]},
    )
    given = {
        "inventory": inventory,
        "sergas_balancer_addresses": [],
        "sergas_checks": ["loadbalancer"],
        "sergas_remedies": ["allow_balancer"],
        # Another test has used the remedy on the same host.
        "sergas_cooldown": 0,
        "sergas_zoho_hosts": "all:!all",
    }
    with resolved_here(named, by_name):
        fixed = fix([name], **given)
        again = fix([name], sergas_apply=False, **given)
        words = playbook.command(
            written(),
            "--check",
            inventory=inventory,
            **{**admins(), "sergas_balancer_addresses": [], "sergas_hosts": name},
        )
        declared = playbook.play(words).results()[name]
    assert fixed.outcome(name, "allow_balancer") == "kept", fixed.describe(name)
    assert not again.entries, again.describe(name)

    def answers(address):
        script = "curl -s -o /dev/null -m 2 --interface %s http://%s:8000/" % (
            address,
            host.address,
        )
        return reference.on(balancer, script, check=False).returncode == 0

    assert {address: answers(address) for address in (data, by_name, management)} == {
        data: True,
        by_name: True,
        management: False,
    }
    assert not playbook.failures(declared)
    after = declared["Compare ufw with the declared rules"][0]["after"]
    sources = re.findall(r"^allow from (\S+) to any port 8000 ", after, re.M)
    assert sources == [data, by_name]
