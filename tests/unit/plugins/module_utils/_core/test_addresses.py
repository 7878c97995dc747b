# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every notation of one address is that address, wherever one is read; nothing else is."""

from __future__ import annotations

import ast
import ipaddress
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses

PLUGINS = Path(__file__).resolve().parents[5] / "plugins"
TRIES = 60
#: What a parser by hand has in its text.
LITERALS = ("[]", "127.", "::1")


def random_addresses(count, seed=20260301):
    """Return addresses of both families, the same ones each time."""
    source = random.Random(seed)
    found = []
    for _number in range(count):
        found.append(ipaddress.IPv4Address(source.getrandbits(32)))
        # With runs of zeros, which is where notations differ.
        mask = sum(0xFFFF << shift for shift in range(0, 128, 16) if source.random() < 0.6)
        found.append(ipaddress.IPv6Address(source.getrandbits(128) & mask))
    return [item for item in found if not getattr(item, "ipv4_mapped", None)]


def notations(item):
    """Return texts that all mean an address."""
    if item.version == 4:
        quad, number = str(item), int(item)
        six = "%x:%x" % (number >> 16, number & 0xFFFF)
        mapped = ["::ffff:" + quad, "::ffff:" + six, "0:0:0:0:0:ffff:" + six]
        mapped += ["0000:0000:0000:0000:0000:ffff:" + quad, "::FFFF:" + six.upper()]
        bare = [quad, *mapped]
        ports = [quad + ":443", *("[%s]:65535" % text for text in mapped)]
        masks = [quad + "/32", quad + "/255.255.255.255", mapped[0] + "/128"]
        zones = ["%s%%eth0" % text for text in mapped]
    else:
        bare = [str(item), item.exploded, str(item).upper(), item.exploded.upper()]
        ports = ["[%s]:443" % text for text in bare] + ["[%s%%eth0.7]:1" % bare[0]]
        masks = [bare[0] + "/128"]
        zones = ["%s%%eth0" % text for text in bare] + [bare[0] + "%25en-1"]
    bracketed = ["[%s]" % text for text in bare]
    spaced = [" %s\t" % bare[0], "\n" + bare[-1] + " "]
    return bare + ports + masks + zones + bracketed + spaced


def test_every_notation_is_the_same_address():
    for item in random_addresses(TRIES):
        texts = notations(item)
        assert {addresses.canonical(text) for text in texts} == {str(item)}
        assert {str(addresses.address(text)) for text in texts} == {str(item)}
        assert {addresses.known(text) for text in texts} == {str(item)}
        assert {addresses.family(text) for text in texts} == {item.version}
        # Each is protected by another one.
        pairs = zip(texts, reversed(texts))
        assert all(addresses.covering([one], other) == one for one, other in pairs)


def test_different_addresses_are_different():
    items = random_addresses(TRIES)
    found = {}
    for item in items:
        for text in notations(item):
            assert found.setdefault(addresses.canonical(text), item) == item
    assert len(found) == len(set(items))


def test_a_neighbour_is_not_protected():
    for item in random_addresses(TRIES):
        other = str(item + 1 if int(item) % 2 == 0 else item - 1)
        assert not addresses.overlap(str(item), other), (item, other)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("192.0.2.9/255.255.255.0", "192.0.2.0/24"),
        ("::FFFF:0:0/96", "0.0.0.0/0"),
        ("[2001:DB8::]/32", "2001:db8::/32"),
        ("2001:db8::9/32", "2001:db8::/32"),
        ("fe80::1%eth0:22", "fe80::1"),
        # Without brackets it is the last group.
        ("2001:db8::1:443", "2001:db8::1:443"),
    ],
)
def test_networks_and_ports(text, expected):
    assert addresses.canonical(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.07",
        "::ffff:192.0.2.07",
        "192.0.2",
        "3221225991",
        "0xC0000207",
        "192.0.2.256",
        "192.0.2.7:",
        "192.0.2.7:0",
        "192.0.2.7:65536",
        "192.0.2.7%eth0",
        "192.0.2.0/33",
        "192.0.2.7:443/32",
        "2001:db8::/129",
        "2001:db8::g",
        "2001:db8:::1",
        "[2001:db8::1",
        "2001:db8::1]",
        "[]:1",
        "fe80::1%",
        "fe80::1%eth0/x",
        "::ffff:192.0.2",
        "\u0661\u0669\u0662.0.2.7",
        "\uff11\uff19\uff12.0.2.7",
        "app1.example",
        "any",
        "",
        " ",
        ":",
        "1:2",
        None,
        7,
        b"192.0.2.7",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(addresses.AddressError):
        addresses.canonical(text)
    assert addresses.known(text) is None
    assert addresses.covering(["0.0.0.0/0", "::/0"], text) is None


def test_a_network_is_no_address():
    for text in ("192.0.2.0/24", "::ffff:0:0/96", "::/0"):
        with pytest.raises(addresses.AddressError):
            addresses.address(text)


def test_garbage_raises_nothing_else():
    source = random.Random(7)
    alphabet = "0123456789abcdefABCDEF:.:./%[] \tgx\u00e9\u0661-"
    for _number in range(5000):
        text = "".join(source.choice(alphabet) for _number in range(source.randrange(24)))
        for parse in (addresses.address, addresses.network, addresses.canonical):
            try:
                parse(text)
            except addresses.AddressError as error:
                assert repr(text)[:20] in str(error)
        addresses.is_name(text), addresses.is_loopback(text), addresses.in_log(text)


@pytest.mark.parametrize("part", ["1", "::", "1.", "[", "%", " ", "a.", "ffff:", "\u0661", "/1"])
def test_long_texts_take_no_longer_than_they_are_long(part):
    text = part * (100_000 // len(part))
    started = time.process_time()
    for function in (addresses.known, addresses.is_name, addresses.is_loopback, addresses.same):
        function(text)
    addresses.in_log(text)
    # 20 ms are much for it; what is quadratic takes minutes.
    assert time.process_time() - started < 0.5
    with pytest.raises(addresses.AddressError) as raised:
        addresses.option("banned", text)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "2002:c000:207::1",
        "2002:c000:207:1::/64",
        "2002:c000:0207::/48",
        "2002:c000::/32",
        "2002::/16",
        "2001:0:4136:e378:8000:63bf:3fff:fdf8",
        "2001::/32",
        "64:ff9b::c000:207",
        "64:FF9B::192.0.2.7",
        "64:ff9b:1::192.0.2.7",
        "64:ff9b::/96",
        "::192.0.2.7",
        "::/96",
        "::/97",
        "::ffff:0:0/96",
        "::/64",
        "2000::/3",
        "::/0",
        "0.0.0.0/0",
        "192.0.2.0/24",
    ],
)
def test_what_leads_to_an_address_shares_it(text):
    if text == "::/97":
        # 0.0.0.0 to 127.255.255.255
        assert not addresses.overlap(text, "192.0.2.7") and addresses.overlap(text, "10.0.0.1")
        return
    assert addresses.overlap(text, "192.0.2.7") and addresses.overlap("192.0.2.7", text)
    assert addresses.covering(["192.0.2.7"], text) == "192.0.2.7"
    # On the wire it is what it is: a ban of the IPv4 address would not stop it.
    if addresses.family(text) == 6:
        assert not addresses.within(text, "192.0.2.7")


@pytest.mark.parametrize(
    "text",
    [
        "2002:c000:208::1",
        "2001:db8::c000:207",
        "64:ff9b::c000:208",
        "::1",
        "::",
        "::192.0.2.8",
        "64:ff9b:2::c000:207",
        "2003:c000:207::1",
    ],
)
def test_what_leads_elsewhere_does_not(text):
    assert not addresses.overlap(text, "192.0.2.7")


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "::ffff:127.9.9.9", "LOCALHOST", "[::1]:80"])
def test_loopback_is_known_in_every_notation(text):
    assert addresses.is_loopback(text)


@pytest.mark.parametrize("text", ["192.0.2.7", "::", "localhost.example", "", None, "127.0.0.1.x"])
def test_nothing_else_is_loopback(text):
    assert not addresses.is_loopback(text)


@pytest.mark.parametrize(
    "text", ["app1", "app1.example", "x_1.example.", "7eleven.example", "b\u00fccher.example"]
)
def test_names_are_names(text):
    assert addresses.is_name(text) and addresses.option_or_name("protected", text) == text


@pytest.mark.parametrize("text", ["192.0.2.07", "1.2.3.4.5", "7", "0x7f.1", "a b", "x" * 300, ""])
def test_a_bad_address_is_no_name(text):
    with pytest.raises(addresses.AddressError, match="^protected: "):
        addresses.option_or_name("protected", text)


def test_plain_ipv4_costs_no_import():
    """Most of what a diagnosis meets is plain IPv4."""
    script = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1]);"
        " module = importlib.import_module(sys.argv[2]);"
        " [getattr(module, name)('192.0.2.7')"
        " for name in ('in_log', 'canonical', 'is_loopback', 'family')];"
        " module.known('app1.example');"
        " sys.exit('ipaddress' in sys.modules)"
    )
    root = os.path.abspath(addresses.__file__).split("ansible_collections")[0]
    words = [sys.executable, "-I", "-S", "-c", script, root, addresses.__name__]
    assert subprocess.run(words, check=False).returncode == 0


def test_no_other_parser_of_addresses():
    """A second parser would take one notation for another address than the first one does."""
    found = {}
    for path in sorted(PLUGINS.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        names = set()
        if not any(word in text for word in ("ipaddress", "inet_", "socket import", *LITERALS)):
            continue
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names if alias.name == "ipaddress"}
            elif isinstance(node, ast.ImportFrom) and node.module in ("ipaddress", "socket"):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute) and node.attr in ("inet_pton", "inet_aton"):
                names.add(node.attr)
            elif isinstance(node, ast.Constant) and node.value in LITERALS:
                names.add(repr(node.value))
        if names:
            found[path.name] = names
    assert found.pop("addresses.py") >= {"ipaddress"}
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "::ffff:192.0.2.7:443",
        "::ffff:0:192.0.2.7",
        "::ffff:0:c000:207",
        "fe80::5efe:192.0.2.7",
        "fe80::200:5efe:c000:207%eth0",
    ],
)
def test_translated_and_tunnelled_notations_lead_to_the_address(text):
    assert addresses.covering(["192.0.2.7"], text) == "192.0.2.7"
    assert addresses.covering(["192.0.2.8"], text) is None


def test_a_port_behind_a_mapped_address_needs_no_brackets():
    assert addresses.in_log("::ffff:192.0.2.7:443") == "192.0.2.7"
    assert addresses.canonical("2001:db8::1:4711") == "2001:db8::1:4711"
