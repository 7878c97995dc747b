# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._cognee import container
from ansible_collections.sergas.ops.plugins.module_utils._host import container_rules


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


def rules(iptables=(), *tables):
    return container_rules.Rules(list(iptables), [list(table) for table in tables])


DOCKER_USER = [
    "-N DOCKER-USER",
    "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A DOCKER-USER -s 192.0.2.1/32 -p tcp -m conntrack --ctorigdstport 8001 -j RETURN",
    "-A DOCKER-USER -i eth0 -p tcp -m conntrack --ctorigdstport 8001 -j DROP",
    "-A DOCKER-USER -j RETURN",
]
TABLE = [
    "table inet sergas_cognee {",
    "chain prerouting {",
    "type filter hook prerouting priority mangle; policy accept;",
    "ct state established,related accept",
    'iifname "docker*" accept',
    "ip saddr 192.0.2.1 tcp dport 8001 accept",
    "ip saddr 198.51.100.0/24 tcp dport 8001 accept",
    "ip6 saddr 2001:db8::1 tcp dport 8001 accept",
    "tcp dport 8001 drop",
    "}",
]


@pytest.mark.parametrize(
    ("found", "allowed", "others"),
    [
        (rules(["-N DOCKER-USER", "-A DOCKER-USER -j RETURN"]), True, True),
        (rules(), True, True),
        (rules(DOCKER_USER), True, False),
        (rules(["-A DOCKER-USER ! -s 192.0.2.0/24 -j DROP"]), True, False),
        (
            rules(["-A DOCKER-USER -j own", "-A own -s 192.0.2.1/32 -j RETURN", "-A own -j DROP"]),
            True,
            False,
        ),
        # Of another port, of the containers' own network, of other modules: not this packet.
        (rules(["-A DOCKER-USER -p tcp -m tcp --dport 9999 -j DROP"]), True, True),
        (rules(["-A DOCKER-USER -i docker0 -j DROP"]), True, True),
        (rules(["-A DOCKER-USER -p udp -j DROP"]), True, True),
        (rules([], TABLE), True, False),
        (rules(DOCKER_USER, TABLE), True, False),
        (rules(["-A DOCKER-USER -j DROP"], TABLE), False, False),
        (rules([], ["tcp dport 8002 drop"]), True, True),
        (
            rules(
                [],
                [
                    "tcp dport { 8001, 8002 } ip saddr { 192.0.2.1, 192.0.2.2 } accept",
                    "tcp dport 8001 drop",
                ],
            ),
            True,
            False,
        ),
    ],
)
def test_who_reaches_a_published_port(found, allowed, others):
    assert container_rules.verdict(found, 8001, "192.0.2.1")[0] is allowed
    assert container_rules.verdict(found, 8001, "203.0.113.9")[0] is others
    assert container_rules.restricts(found, 8001) is not others


def test_networks_and_addresses_of_both_families_count():
    found = rules([], TABLE)
    assert container_rules.verdict(found, 8001, "198.51.100.77")[0]
    assert container_rules.verdict(found, 8001, "2001:db8::1")[0]
    assert not container_rules.verdict(found, 8001, "2001:db8::2")[0]


def test_docker_s_chain_does_not_count_for_podman():
    assert container_rules.verdict(rules(DOCKER_USER), 8001, "203.0.113.9", docker=False)[0]
