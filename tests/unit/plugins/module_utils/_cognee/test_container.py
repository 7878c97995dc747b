# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._cognee import container
from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    container_rules,
    iptables_rules,
    nft_rules,
    packet_filter,
)


@pytest.mark.parametrize(
    ("containers", "name"),
    [
        ([("db", "postgres:17", ""), ("cognee", "cognee/cognee:1.6.5", "")], "cognee"),
        ([("memory", "docker.io/cognee/cognee:main", "")], "memory"),
        ([("stack_cognee_1", "sha256:12", "")], "stack_cognee_1"),
        ([("cognee-mcp", "cognee/cognee-mcp:main", "0.0.0.0:8001->8000/tcp")], None),
        ([("cognee-frontend", "shop:1", ""), ("cognee_db", "postgres", "")], None),
        (
            [
                ("cognee-old", "cognee/cognee:0.5", ""),
                ("cognee", "cognee/cognee:1.6.5", "127.0.0.1:8001->8000/tcp, 9000/tcp"),
            ],
            "cognee",
        ),
        ([("shop", "shop:1", "0.0.0.0:8001->80/tcp")], None),
        ([], None),
    ],
)
def test_the_container_is_found_by_its_name_or_image(containers, name):
    assert container.choose(containers, 8001) == name


def test_an_inspect_of_docker_is_understood():
    seen = container.describe(
        "docker",
        {
            "Name": "/cognee",
            "RestartCount": 2,
            "State": {
                "Status": "exited",
                "Running": False,
                "OOMKilled": True,
                "ExitCode": 137,
                "Health": {"Status": "unhealthy"},
            },
            "HostConfig": {
                "Memory": 268435456,
                "NetworkMode": "default",
                "PortBindings": {"8000/tcp": [{"HostIp": "", "HostPort": "8001"}]},
            },
            "Config": {
                "Image": "cognee/cognee:1.6.5",
                "Labels": {"com.docker.compose.project.working_dir": "/srv/cognee"},
            },
        },
    )
    assert (seen["name"], seen["state"], seen["health"]) == ("cognee", "exited", "unhealthy")
    assert (seen["oom_killed"], seen["exit_code"], seen["restarts"]) == (True, 137, 2)
    assert seen["memory_limit"] == 256 * 1024 * 1024
    assert seen["compose"]["project_dir"] == "/srv/cognee"
    assert container.port_of(seen) == 8001
    assert container.publishes_widely(seen, 8001)
    assert not container.publishes_widely(seen, 8002)


def test_an_inspect_of_podman_is_understood():
    seen = container.describe(
        "podman",
        {
            "Name": "cognee",
            "State": {"Status": "running", "Running": True, "Healthcheck": {"Status": ""}},
            "HostConfig": {
                "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8001"}]}
            },
            "Config": {"Image": "localhost/cognee", "Labels": None},
        },
    )
    assert (seen["running"], seen["health"], seen["exit_code"]) == (True, None, None)
    assert not container.publishes_widely(seen, 8001)


def saved(*rules):
    """Return the tables of a host with Docker: its own chains, and rules of others."""
    names = dict.fromkeys(
        word for rule in rules for word in re.findall(r"-[Aj] (own|DOCKER-USER)", rule)
    )
    return iptables_rules.parse(
        "\n".join(
            [
                "*nat",
                ":PREROUTING ACCEPT [0:0]",
                ":DOCKER - [0:0]",
                "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
                "-A DOCKER -p tcp --dport 8001 -j DNAT --to-destination 172.17.0.2:8000",
                "COMMIT",
                "*filter",
                ":FORWARD DROP [0:0]",
                *(":%s - [0:0]" % name for name in {"DOCKER-USER": 0, **names}),
                ":DOCKER - [0:0]",
                "-A FORWARD -j DOCKER-USER",
                "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                "-A FORWARD -o docker0 -j DOCKER",
                "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
                *rules,
                "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp --dport 8000 -j ACCEPT",
                "COMMIT",
            ]
        ),
        "ip",
    )


def table(*rules, name="sergas_cognee"):
    """Return a table before the translation: rules are (what matches, accept or drop)."""
    where = {"family": "inet", "table": name}
    chain = dict(where, name="prerouting", hook="prerouting", prio=-150, policy="accept")
    items = [
        {"table": {"family": "inet", "name": name}},
        {"chain": dict(chain, type="filter")},
        *(
            {"rule": dict(where, chain="prerouting", expr=[*map(match, matches), {verdict: None}])}
            for matches, verdict in rules
        ),
    ]
    return nft_rules.parse(json.dumps({"nftables": items}))


def match(words):
    """Return the expression of ``tcp dport 8001`` or ``ip saddr 192.0.2.1``."""
    protocol, field, value = words.split(" ", 2)
    left = {"payload": {"protocol": protocol, "field": field}}
    parts = [part.strip() for part in value.strip("{}").split(",")]
    right = [int(part) if part.isdigit() else network(part) for part in parts]
    return {"match": {"op": "==", "left": left, "right": {"set": right}}}


def network(text):
    address, slash, length = text.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}} if slash else address


def rules(*tables, gaps=()):
    return packet_filter.Filter([one for part in tables for one in part], list(gaps))


DOCKER_USER = [
    "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A DOCKER-USER -s 192.0.2.1/32 -p tcp -m conntrack --ctorigdstport 8001 -j RETURN",
    "-A DOCKER-USER -p tcp -m conntrack --ctorigdstport 8001 -j DROP",
    "-A DOCKER-USER -j RETURN",
]
TABLE = table(
    (["ip saddr 192.0.2.1", "tcp dport 8001"], "accept"),
    (["ip saddr 198.51.100.0/24", "tcp dport 8001"], "accept"),
    (["ip6 saddr 2001:db8::1", "tcp dport 8001"], "accept"),
    (["tcp dport 8001"], "drop"),
)
TO = ("172.17.0.2", 8000)


@pytest.fixture(autouse=True)
def routes(monkeypatch):
    """A host whose containers are behind docker0, as the kernel's routes say."""

    def route(address):
        return None, "docker0" if address.startswith("172.17.") else None

    monkeypatch.setattr(packet_filter, "route", route)


@pytest.mark.parametrize(
    ("found", "allowed", "others"),
    [
        (rules(saved("-A DOCKER-USER -j RETURN")), True, True),
        (rules(saved()), True, True),
        (rules(), True, True),
        (rules(saved(*DOCKER_USER)), True, False),
        (rules(saved("-A DOCKER-USER ! -s 192.0.2.0/24 -j DROP")), True, False),
        (
            rules(
                saved("-A DOCKER-USER -j own", "-A own -s 192.0.2.1/32 -j RETURN", "-A own -j DROP")
            ),
            True,
            False,
        ),
        # Of another port, of the containers' own network: not this packet.
        (rules(saved("-A DOCKER-USER -p tcp -m tcp --dport 9999 -j DROP")), True, True),
        (rules(saved("-A DOCKER-USER -i docker0 -j DROP")), True, True),
        (rules(saved("-A DOCKER-USER -p udp -j DROP")), True, True),
        (rules(TABLE), True, False),
        (rules(saved(*DOCKER_USER), TABLE), True, False),
        (rules(saved("-A DOCKER-USER -j DROP"), TABLE), False, False),
        (rules(table((["tcp dport 8002"], "drop"))), True, True),
        (
            rules(
                table(
                    (["tcp dport {8001,8002}", "ip saddr {192.0.2.1,192.0.2.2}"], "accept"),
                    (["tcp dport 8001"], "drop"),
                )
            ),
            True,
            False,
        ),
        # The container's own port, and what another table has for what is sent on.
        (rules(saved("-A DOCKER-USER -p tcp -m tcp --dport 8000 -j DROP")), False, False),
        # What is not understood, or could not be read, is neither allowed nor blocked.
        (rules(saved("-A DOCKER-USER -m set --match-set ours src -j DROP")), None, None),
        (rules(saved(), gaps=["no answer in time from nft"]), None, None),
        (rules(saved("-A DOCKER-USER -j DROP"), gaps=["no answer in time from nft"]), False, False),
    ],
)
def test_who_reaches_a_published_port(found, allowed, others):
    assert container_rules.verdict(found, 8001, "192.0.2.1", TO)[0] is allowed
    assert container_rules.verdict(found, 8001, "203.0.113.9", TO)[0] is others
    assert container_rules.restricts(found, 8001, TO) is (None if others is None else not others)


def test_networks_and_addresses_of_both_families_count():
    found = rules(TABLE)
    assert container_rules.verdict(found, 8001, "198.51.100.77")[0]
    assert container_rules.verdict(found, 8001, "2001:db8::1")[0]
    assert not container_rules.verdict(found, 8001, "2001:db8::2")[0]


def test_a_container_behind_another_bridge_is_reached_by_its_route(monkeypatch):
    tables = iptables_rules.parse(
        "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -o box0 -j ACCEPT\nCOMMIT\n", "ip"
    )
    monkeypatch.setattr(packet_filter, "route", lambda _address: (None, "box0"))
    assert container_rules.verdict(rules(tables), 8001, "192.0.2.1", TO)[0] is True
    assert container_rules.verdict(rules(tables), 8001, "192.0.2.1")[0] is None


def test_a_rule_for_a_container_s_port_is_not_known_where_that_port_is_not():
    found = rules(saved("-A DOCKER-USER -p tcp -m tcp --dport 8000 -j DROP"))
    assert container_rules.verdict(found, 8001, "192.0.2.1")[0] is None


@pytest.mark.parametrize(
    ("listed", "inspected"),
    [
        ((0, "rubbish {\n", ""), (0, "[]", "")),
        ((1, "", "Cannot connect to the Docker daemon"), (0, "[]", "")),
        (DeadlineExceeded("no answer in time from docker"), (0, "[]", "")),
        ((0, "cognee\tcognee/cognee\t\n", ""), (0, "rubbish {", "")),
        ((0, "cognee\tcognee/cognee\t\n", ""), (0, "[7]", "")),
        ((0, "cognee\tcognee/cognee\t\n", ""), (0, "[]", "")),
        ((0, "cognee\tcognee/cognee\t\n", ""), (0, '[{"State": "up"}]', "")),
        ((0, "cognee\tcognee/cognee\t\n", ""), DeadlineExceeded("no answer in time")),
    ],
)
def test_an_engine_that_does_not_answer_well_is_not_one_without_a_container(
    monkeypatch, listed, inspected
):
    def run(argv, _deadline):
        answer = listed if argv[1] == "ps" else inspected
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(process, "find", lambda name: name if name == "docker" else None)
    monkeypatch.setattr(process, "run", run)
    with pytest.raises(container.EngineFailed, match="^docker: "):
        container.read({"engine": "auto", "container": None}, 8001, Deadline(5))
