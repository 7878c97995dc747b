# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output of ``nft -j list ruleset`` as tables of ``packet_walk`` (pure).

An expression that is not known here makes its rule one whose end is unknown, never one that is
passed over.
"""

from __future__ import annotations

import json

from ansible_collections.sergas.ops.plugins.module_utils._host.packet_walk import (
    Chain,
    Rule,
    Table,
)

_FAMILIES = ("ip", "ip6", "inet", "netdev")
_HIGHEST_PORT = 65535
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800}
#: How many open connections a limit of one a second stands for.
_OPEN = 10
_UNKNOWN = ("unknown", False, ())
#: Statements that change nothing of what happens to a packet.
_PASS = frozenset(
    ("counter", "log", "last", "flow", "dup", "secmark", "ct helper", "ct timeout", "audit")
)
#: Translations of the source, after which nothing is filtered.
_AFTERWARDS = frozenset(("snat", "masquerade"))
_VERDICTS = {"accept": "accept", "drop": "drop", "reject": "drop", "return": "return"}
_META = {
    "nfproto": "family",
    "protocol": "family",
    "l4proto": "protocol",
    "iif": "iif",
    "iifname": "iif",
    "oif": "oif",
    "oifname": "oif",
    "pkttype": "pkttype",
}
_CT = {
    "state": "state",
    "status": "status",
    "direction": "direction",
    "proto-dst": "origdport",
}
_VERSIONS = {"ipv4": 4, "ip": 4, "ipv6": 6, "ip6": 6}
_FIB = {("type", "daddr"): "dsttype", ("type", "saddr"): "srctype"}


def parse(text):
    """Return [Table] of all families that a packet of TCP comes through.

    Raises:
        ValueError: this is no such output.
    """
    try:
        items = json.loads(text)["nftables"]
        tables = {}
        for item in items:
            if "table" in item and item["table"]["family"] in _FAMILIES:
                one = item["table"]
                tables[one["family"], one["name"]] = Table(one["family"], one["name"], {}), {}
        for kind in ("set", "map"):
            for one in (item[kind] for item in items if kind in item):
                if (one["family"], one["table"]) in tables:
                    tables[one["family"], one["table"]][1]["@" + one["name"]] = one.get("elem", [])
        for one in (item["chain"] for item in items if "chain" in item):
            if (one["family"], one["table"]) in tables:
                chains = tables[one["family"], one["table"]][0].chains
                chains[one["name"]] = _chain(one)
        for one in (item["rule"] for item in items if "rule" in item):
            if (one["family"], one["table"]) in tables:
                table, sets = tables[one["family"], one["table"]]
                where = "%s %s %s" % (one["family"], one["table"], one["chain"])
                table.chains[one["chain"]].rules.extend(_rules(one.get("expr", ()), sets, where))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError("not the form of nft's JSON (%s)" % error)
    return [table for table, _sets in tables.values()]


def _chain(one):
    device = one.get("dev") or ""
    return Chain(
        one["name"],
        [],
        one.get("hook"),
        one["prio"] if isinstance(one.get("prio"), int) else 0,
        one.get("policy"),
        device if isinstance(device, str) else "",
        one.get("type") == "nat",
    )


def _rules(expressions, sets, where):
    """Return the rules of one rule of nft: a map of verdicts makes one of each entry."""
    matches, text = [], "%s: %s" % (where, shown(expressions))
    made = []
    for expression in expressions:
        ((kind, value),) = expression.items()
        if kind == "match":
            matches += _match(value, sets)
        elif kind in _VERDICTS:
            return [*made, Rule(tuple(matches), _VERDICTS[kind], None, text)]
        elif kind in ("jump", "goto"):
            return [*made, Rule(tuple(matches), kind, value["target"], text)]
        elif kind == "vmap":
            made += _of_map(value, sets, matches, text)
        elif kind in ("limit", "ct count"):
            matches.append(_limit(kind, value))
        elif kind in ("set", "meter"):
            inner = value.get("stmt") or ()
            inner = [inner] if isinstance(inner, dict) else inner
            matches += [_limit(*item) for one in inner for item in one.items()]
        elif kind in ("dnat", "redirect"):
            to = "%s:%s" % (value.get("addr"), value.get("port")) if kind == "dnat" else None
            return [*made, Rule(tuple(matches), "translate", to, text)]
        elif kind in _AFTERWARDS:
            return [*made, Rule(tuple(matches), "accept", None, text)]
        elif kind == "mangle" and "payload" not in value["key"]:
            continue
        elif kind not in _PASS and kind != "continue":
            made.append(Rule(tuple(matches), "unclear", None, text))
            # What it does may end the rule here.
            matches.append(_UNKNOWN)
    return made


def _limit(kind, value):
    """Return the condition of a limit: of what is within it, or of what exceeds it."""
    field = "over" if value.get("inv") else "under"
    if kind == "ct count":
        return field, False, (value["val"] / _OPEN,)
    if kind != "limit":
        return _UNKNOWN
    if value.get("rate_unit", "packets") != "packets":
        return field, False, (None,)
    return field, False, (value["rate"] / _SECONDS.get(value.get("per"), 1),)


def _of_map(value, sets, matches, text):
    """Return a rule for each entry of a map of verdicts."""
    data = value["data"]
    entries = sets.get(data) if isinstance(data, str) else data["set"]
    if entries is None:
        return [Rule((*matches, _UNKNOWN), "unclear", None, text)]
    made = []
    for wanted, verdict in entries:
        found = _match({"op": "==", "left": value["key"], "right": wanted}, sets)
        made += _rules_of_verdict((*matches, *found), verdict, text)
    return made


def _rules_of_verdict(matches, verdict, text):
    ((kind, value),) = verdict.items()
    if kind in ("jump", "goto"):
        return [Rule(matches, kind, value["target"], text)]
    if kind == "continue":
        return []
    return [Rule(matches, _VERDICTS.get(kind, "unclear"), None, text)]


def _match(value, sets):
    """Return the conditions of a match, ``_UNKNOWN`` for one that is not understood."""
    left, right, operator = value["left"], value["right"], value.get("op", "==")
    if isinstance(left, dict) and "concat" in left:
        return _of_parts(left["concat"], right, operator, sets)
    field, implied, bits = _left(left)
    if field is None:
        return [*implied, _UNKNOWN]
    items = _items(right, sets)
    if items is None:
        return [*implied, _UNKNOWN]
    if field == "flags":
        return [*implied, _of_flags(bits, items, operator)]
    if operator in ("<", "<=", ">", ">="):
        return [*implied, _compared(field, operator, items)]
    if operator not in ("==", "!=", "in"):
        return [*implied, _UNKNOWN]
    try:
        values = tuple(_value(field, item) for item in items)
    except (TypeError, ValueError, KeyError):
        return [*implied, _UNKNOWN]
    return [*implied, (field, operator == "!=", values)]


def _of_parts(parts, right, operator, sets):
    """Return the condition of several values at once: one entry has all of them."""
    entries = _items(right, sets)
    if entries is None or operator not in ("==", "!="):
        return [_UNKNOWN]
    alternatives = tuple(
        tuple(
            one
            for part, item in zip(parts, entry["concat"])
            for one in _match({"op": "==", "left": part, "right": item}, sets)
        )
        for entry in entries
    )
    return [("one_of", operator == "!=", alternatives)]


def _left(left):
    """Return (field or None, conditions that come with it, the mask of flags)."""
    if not isinstance(left, dict):
        return None, (), None
    if "&" in left:
        field, implied, _bits = _left(left["&"][0])
        return ("flags" if field == "flags" else None), implied, _names(left["&"][1])
    ((kind, value),) = left.items()
    if kind == "payload":
        return _payload(value)
    if kind == "meta":
        return _META.get(value.get("key")), (), None
    if kind == "ct":
        key = value.get("key", "")
        if key in ("ip daddr", "ip6 daddr", "ip saddr", "ip6 saddr"):
            # Before a translation, which is what these two have of a packet anyway.
            return (key.split()[1] if value.get("dir") == "original" else None), (), None
        return _CT.get(key), (), None
    if kind == "fib":
        flags = value.get("flags", ())
        flags = [flags] if isinstance(flags, str) else flags
        if value.get("result") == "oif" and "saddr" in flags:
            return "way_back", (), None
        return _FIB.get((value.get("result"), flags[0] if len(flags) == 1 else "")), (), None
    return None, (), None


def _payload(value):
    protocol, field = value.get("protocol"), value.get("field")
    if protocol in ("ip", "ip6"):
        implied = (("family", False, (_VERSIONS[protocol],)),)
        if field in ("saddr", "daddr"):
            return field, implied, None
        return ("protocol" if field in ("protocol", "nexthdr") else None), implied, None
    if protocol in ("tcp", "udp", "th"):
        implied = (("protocol", False, (protocol,)),) if protocol != "th" else ()
        return (field if field in ("dport", "sport", "flags") else None), implied, None
    if protocol in ("ether", "vlan", None):
        return None, (), None
    # Of another protocol (icmp): no packet of TCP has it.
    return None, (("never", False, ()),), None


def _names(mask):
    if isinstance(mask, dict) and "|" in mask:
        return [name for part in mask["|"] for name in _names(part)]
    return list(mask) if isinstance(mask, list) else [mask]


def _items(right, sets):
    """Return the values on the right as a list, or None where they are not known."""
    if isinstance(right, str) and right.startswith("@"):
        right = sets.get(right)
        if right is None:
            return None
    elif isinstance(right, dict) and "set" in right:
        right = right["set"]
    found = right if isinstance(right, list) else [right]
    return [
        item["elem"]["val"] if isinstance(item, dict) and "elem" in item else item for item in found
    ]


def _value(field, item):
    """Return one value as ``packet_walk`` has it; raises where it is none of this field."""
    if field in ("dport", "sport", "origdport"):
        low, high = item["range"] if isinstance(item, dict) else (item, item)
        return int(low), int(high)
    if field in ("saddr", "daddr"):
        if isinstance(item, dict) and "prefix" in item:
            return "%s/%d" % (item["prefix"]["addr"], item["prefix"]["len"])
        if isinstance(item, dict):
            return tuple(item["range"])
        return str(item)
    if field == "family":
        return _VERSIONS.get(item, 0)
    if field == "way_back":
        return bool(item)
    if isinstance(item, dict):
        raise ValueError("a value of %s is a dictionary" % field)
    return str(item) if field in ("iif", "oif") else str(item).lower()


def _compared(field, operator, items):
    if field not in ("dport", "sport", "origdport") or not isinstance(items[0], int):
        return _UNKNOWN
    number = items[0]
    if operator.startswith("<"):
        return field, False, ((0, number if operator == "<=" else number - 1),)
    return field, False, ((number if operator == ">=" else number + 1, _HIGHEST_PORT),)


def _of_flags(bits, items, operator):
    if bits is None or operator not in ("==", "!="):
        return _UNKNOWN
    wanted = [name for item in items for name in _names(item)]
    return "flags", operator == "!=", (tuple(bits), tuple(wanted))


def shown(expressions):
    """Return a rule in short, for a message."""
    words = []
    for expression in expressions:
        ((kind, value),) = expression.items()
        if kind == "match":
            sign = "" if value.get("op") in ("==", "in") else value.get("op") + " "
            words.append("%s %s%s" % (_text(value["left"]), sign, _text(value["right"])))
        elif kind in ("jump", "goto"):
            words.append("%s %s" % (kind, value["target"]))
        elif kind != "counter":
            words.append(kind)
    text = " ".join(words)
    return text if len(text) <= 160 else text[:157] + "..."


def _text(value):
    if isinstance(value, list):
        return ",".join(_text(item) for item in value)
    if not isinstance(value, dict):
        return str(value)
    ((kind, inner),) = list(value.items())[:1] or [("", "")]
    if kind == "payload":
        return "%s %s" % (inner.get("protocol", ""), inner.get("field", ""))
    if kind in ("meta", "ct"):
        return "%s %s" % (kind, inner.get("key"))
    if kind == "prefix":
        return "%s/%s" % (inner.get("addr"), inner.get("len"))
    if kind == "range":
        return "%s-%s" % tuple(inner)
    if kind == "set":
        return "{ %s }" % ", ".join(_text(item) for item in inner[:8])
    return kind
