# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pickle
import socket
import threading

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import (
    bans,
    client,
    configuration,
    rules,
)
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import (
    sources as fail2ban_sources,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import ufw

DUMP = """\
2026-11-24 18:37:07,291 fail2ban.configreader [215]: WARNING 'allowipv6' not defined
['set', 'syslogsocket', 'auto']
['add', 'sshd', 'systemd']
['set', 'sshd', 'addjournalmatch', '_SYSTEMD_UNIT=ssh.service', '_UID=0', '+', '_COMM=sshd']
['set', 'sshd', 'maxretry', 5]
['set', 'sshd', 'addignoreip', '127.0.0.1/8', '::1']
['set', 'sshd', 'addaction', 'sergas-nftables']
['multi-set', 'sshd', 'action', 'sergas-nftables', [['actionban', 'nft x'], ['revision', 'abc']]]
['add', 'nginx', 'auto']
['set', 'nginx', 'addlogpath', '/var/log/nginx/error.log', 'head']
['start', 'sshd']
OK: configuration test is successful
"""


def test_dump_is_read_jail_by_jail():
    jails = client.parse_dump(DUMP)
    assert sorted(jails) == ["nginx", "sshd"]
    sshd = jails["sshd"]
    assert sshd.backend == "systemd"
    assert sshd.journalmatch == "_SYSTEMD_UNIT=ssh.service _UID=0 + _COMM=sshd"
    assert sshd.values["maxretry"] == "5"
    assert sshd.ignored == ("127.0.0.1/8", "::1")
    assert sshd.actions == {"sergas-nftables": {"actionban": "nft x", "revision": "abc"}}
    assert jails["nginx"].logpaths == ("/var/log/nginx/error.log",)


OURS = "[sshd]\nenabled = true\nmaxretry = 5\nignoreip = 127.0.0.1/8 ::1\nfindtime = 600\n"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("[sshd]\nmaxretry = 3\n", [("sshd", "maxretry", "5", "3")]),
        ("[sshd]\nmaxretry=5\n", []),
        ("[DEFAULT]\nmaxretry = 3\n", []),
        ("[sshd]\nbantime = 60\n", []),
        ("# [sshd]\n[other]\nmaxretry = 3\n", []),
        ("[sshd]\n# maxretry = 3\nignoreip = 127.0.0.1/8\n   ::1\n", []),
    ],
)
def test_operator_counts_over_us_where_he_says_otherwise(text, expected):
    own = client.parse_ini("sergas.conf", OURS)
    found = client.overridden(own, [client.parse_ini("jail.local", text)])
    assert [(item["jail"], item["key"], item["ours"], item["theirs"]) for item in found] == expected


def test_last_file_counts():
    own = client.parse_ini("sergas.conf", OURS)
    later = [
        client.parse_ini("jail.local", "[sshd]\nmaxretry = 3\n"),
        client.parse_ini("jail.d/z.local", "[sshd]\nmaxretry = 5\n"),
    ]
    assert client.overridden(own, later) == []


class _Answers:
    """A server that gives prepared answers over a socket, as fail2ban does."""

    def __init__(self, path, answers):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(1)
        self._answers = answers
        self.received = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        connection, _address = self._listener.accept()
        for answer in self._answers:
            data = b""
            while not data.endswith(b"<F2B_END_COMMAND>"):
                data += connection.recv(4096)
            self.received.append(pickle.loads(data[:-17]))  # noqa: S301
            connection.sendall(answer + b"<F2B_END_COMMAND>")


@pytest.fixture
def answered(tmp_path):
    def make(*answers):
        path = str(tmp_path / "sock")
        return _Answers(path, answers), path

    return make


def test_server_is_queried_over_one_connection(answered):
    status = (0, [("Number of jail", 2), ("Jail list", "sshd, sergas-app")])
    fake, path = answered(pickle.dumps(status, 4), pickle.dumps((0, 5), 4))
    with client.Server(path) as server:
        assert server.jails() == ["sshd", "sergas-app"]
        assert server.query("get", "sshd", "maxretry") == 5
    assert fake.received == [["status"], ["get", "sshd", "maxretry"]]


def test_refusal_is_raised(answered):
    _fake, path = answered(pickle.dumps((1, ValueError("no such jail")), 4))
    with client.Server(path) as server, pytest.raises(client.Refused, match="no such jail"):
        server.query("get", "ghost", "maxretry")


class _Malice:
    def __reduce__(self):
        return os.mkdir, ("/tmp/must-not-be-made",)


def test_answer_cannot_run_anything(answered):
    _fake, path = answered(pickle.dumps((0, _Malice()), 4))
    with client.Server(path) as server, pytest.raises(pickle.UnpicklingError):
        server.query("status")
    assert not os.path.exists("/tmp/must-not-be-made")


def test_no_server_answers(tmp_path):
    with pytest.raises(client.ServerDown, match="does not answer"):
        client.Server(str(tmp_path / "none"))


def sources(journalmatch="", units=None, lines=None, logpaths=(), present=()):
    return fail2ban_sources.Sources(journalmatch, units or {}, lines, logpaths, present)


APP = "_SYSTEMD_UNIT=sergas-app.service"
SSH = "_SYSTEMD_UNIT=ssh.service + _SYSTEMD_UNIT=sshd.service"
LOADED = ("loaded", "active")
GONE = ("not-found", "inactive")


@pytest.mark.parametrize(
    "seen, reason",
    [
        (sources(), "neither"),
        (sources(APP, {"sergas-app.service": LOADED}, True), None),
        (sources(APP, {"sergas-app.service": GONE}, False), "no unit of this host"),
        (sources(APP, {"sergas-app.service": LOADED}, False), "no line"),
        # What was never started has nothing to say yet.
        (sources(APP, {"sergas-app.service": ("loaded", "inactive")}, False), None),
        (sources(SSH, {"ssh.service": LOADED, "sshd.service": GONE}, True), None),
        (sources("_COMM=sshd", {}, True), None),
        (sources("_COMM=ghost", {}, False), "no line"),
        (sources("", {}, None, ("/a", "/b"), ("/b",)), None),
        (sources("", {}, None, ("/a",), ()), "/a does not exist"),
    ],
)
def test_jails_without_input_are_found(seen, reason):
    found = fail2ban_sources.no_input(seen)
    assert (found is None) if reason is None else (reason in found)


@pytest.mark.parametrize(
    "backend, only",
    [
        ("systemd", True),
        ("systemd[journalflags=1]", False),
        ('systemd[journalpath=/x, journalflags="5"]', True),
        ("", True),
    ],
)
def test_journals_of_users_are_read_where_configured(backend, only):
    assert fail2ban_sources.reads_system_journal_only(backend) is only


def test_revision_changes_with_any_file():
    files = {"jail.d/sergas.conf": "a @REVISION@", "filter.d/sergas-app.conf": "b"}
    first, revision = configuration.with_revision(files)
    assert first["jail.d/sergas.conf"] == "a " + revision
    _second, other = configuration.with_revision(dict(files, **{"filter.d/sergas-app.conf": "c"}))
    assert other != revision


def test_only_what_differs_is_written():
    before = {"a": "1", "b": "2", "c": "3"}
    after = {"a": "1", "b": "x", "d": "4"}
    assert configuration.differences(before, after) == {
        "b": ("2", "x"),
        "c": ("3", None),
        "d": (None, "4"),
    }


@pytest.mark.parametrize(
    "path", ["jail.local", "jail.d/other.conf", "jail.d/../sergas.conf", "jail.d/sergas.local"]
)
def test_files_of_others_are_refused(path):
    with pytest.raises(InvalidValue, match="not a file of this collection"):
        configuration.check_paths([path])


def test_files_are_read_and_overrides_found(tmp_path):
    for directory in configuration.DIRECTORIES:
        (tmp_path / directory).mkdir()
    (tmp_path / "jail.d" / "sergas.conf").write_text(OURS)
    (tmp_path / "jail.d" / "defaults-debian.conf").write_text("[sshd]\nmaxretry = 9\n")
    (tmp_path / "jail.d" / "zz.conf").write_text("[sshd]\nfindtime = 60\n")
    (tmp_path / "jail.local").write_text("[sshd]\nmaxretry = 3\n")
    files = configuration.read_own(str(tmp_path))
    assert files == {"jail.d/sergas.conf": OURS}
    found = configuration.read_overrides(str(tmp_path), files)
    assert [(item["key"], item["theirs"]) for item in found] == [
        ("findtime", "60"),
        ("maxretry", "3"),
    ]


def test_ours_are_never_banned():
    plan = bans.plan(
        ["203.0.113.9", "192.0.2.7", "127.0.0.1", "203.0.113.8"],
        [],
        ["203.0.113.8"],
        ["192.0.2.0/24"],
    )
    assert plan.ban == ["203.0.113.9"]
    assert plan.refused == {
        "192.0.2.7": "it is protected by 192.0.2.0/24",
        "127.0.0.1": "no client outside has it",
    }


def test_only_who_is_banned_is_unbanned():
    banned = ["203.0.113.8", "203.0.113.9"]
    plan = bans.plan(["203.0.113.9"], ["203.0.113.7", "203.0.113.8"], banned, [])
    assert (plan.ban, plan.unban) == ([], ["203.0.113.8"])


@pytest.mark.parametrize("text", ["name.example", "192.0.2.0/24", "", "192.0.2.256"])
def test_only_addresses_are_banned(text):
    with pytest.raises(
        addresses.AddressError, match="^banned: .* is not one IPv4 or IPv6 address$"
    ):
        bans.normal("banned", [text])


def test_addresses_are_written_in_one_way():
    given = ["2001:DB8:0::5", "192.0.2.1", "::ffff:192.0.2.1"]
    assert list(bans.normal("banned", given)) == ["2001:db8::5", "192.0.2.1"]


def test_a_protected_address_is_refused_in_every_notation():
    given = ["::ffff:192.0.2.7", "2002:c000:207::1", "64:ff9b::192.0.2.8"]
    wanted = bans.normal("banned", given)
    plan = bans.plan(wanted, [], [], ["[::FFFF:192.0.2.7]:443", "192.0.2.8/32"])
    assert plan.ban == []
    assert list(plan.refused) == ["192.0.2.7", "2002:c000:207::1", "64:ff9b::c000:208"]
    assert plan.refused["192.0.2.7"].endswith("given as ::ffff:192.0.2.7")


@pytest.mark.parametrize("text", ["192.0.2.07", "192.0.2.0/33", "a b", "10.1"])
def test_what_is_neither_an_address_nor_a_name_is_not_looked_up(text):
    def lookup(_name, _port):
        raise AssertionError("looked up")

    with pytest.raises(addresses.AddressError, match="^protected: .* is not an IPv4 or IPv6 addr"):
        bans.resolve([text], lookup)


def test_an_override_of_ignored_addresses_in_another_notation_is_none():
    own = client.parse_ini("sergas.conf", "[sshd]\nignoreip = 192.0.2.7 2001:db8::1\n")
    other = client.parse_ini("jail.local", "[sshd]\nignoreip = ::ffff:192.0.2.7 2001:DB8:0::1\n")
    assert client.overridden(own, [other]) == []


def test_database_is_read_from_the_dump():
    assert client.parse_database("['set', 'dbfile', '/var/lib/f2b.sqlite3']\n") == (
        "/var/lib/f2b.sqlite3"
    )
    assert client.parse_database("['set', 'dbfile', 'None']\n") is None


def test_names_are_resolved_and_unknown_ones_reported():
    def lookup(name, _port):
        if name != "lb.example":
            raise OSError("unknown")
        return [(2, 1, 6, "", ("192.0.2.2", 0)), (10, 1, 6, "", ("fe80::1%eth0", 0, 0, 2))]

    names = ["lb.example", "198.51.100.0/24", "ghost.example"]
    found = bans.resolve(names, lookup)
    assert found == (["192.0.2.2", "fe80::1", "198.51.100.0/24"], ["ghost.example"])


def test_end_of_a_ban_is_read():
    lines = [
        "192.0.2.99 \t2026-11-24 18:43:23 + 86400 = 2026-11-25 18:43:23",
        "192.0.2.98 \t2026-11-24 18:43:23 + -1 = 9999-12-31 23:59:59",
    ]
    assert bans.parse_times(lines) == {
        "192.0.2.99": "2026-11-25 18:43:23",
        "192.0.2.98": "never",
    }


def test_rule_of_a_ban_is_looked_up_by_its_action():
    found = rules.lookup("sergas-nftables", "sshd", "2001:db8::5")
    assert found[-2:] == ["sshd-6", "{ 2001:db8::5 }"]
    found = rules.lookup("sergas-iptables", "sshd", "192.0.2.1")
    assert found[0] == "iptables" and "f2b-sshd" in found
    assert rules.lookup("sergas-ufw", "sshd", "192.0.2.1") is None


def test_what_only_ufw_still_denies_is_unbanned_too():
    plan = bans.plan([], ["203.0.113.7", "203.0.113.8"], [], [], ["203.0.113.7"])
    assert plan.unban == ["203.0.113.7"]


def test_the_rules_of_a_jail_are_distinguished_from_the_operators():
    mark = "comment=" + b"fail2ban sergas-blocked until 1796181924".hex()
    text = "".join(
        "### tuple ### %s any %s %s in %s\n" % rule
        for rule in (
            ("deny any", "0.0.0.0/0 any", "203.0.113.7", mark),
            ("deny any", "0.0.0.0/0 any", "203.0.113.8", "comment=" + b"fail2ban by hand".hex()),
            ("reject any", "0.0.0.0/0 any", "203.0.113.9", ""),
            ("deny tcp", "0.0.0.0/0 any", "203.0.113.10", ""),
            ("deny any", "0.0.0.0/0 any", "0.0.0.0/0", ""),
            ("allow any", "0.0.0.0/0 any", "203.0.113.11", ""),
        )
    )
    of_jails, others = rules.denied_by_ufw(ufw.parse_tuples(text, 4))
    assert of_jails == {"sergas-blocked": ["203.0.113.7"]}
    assert others == ["203.0.113.8", "203.0.113.9"]
