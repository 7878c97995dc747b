# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done to ufw's rules so that they are the declared ones. Pure: nothing is read.

Rules are compared one address family at a time, as ufw keeps them. A declared rule is in force
where it is in the list and nothing before it decides otherwise, so its position counts only where
another rule stands in its way: the rules of others keep their positions.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._firewall import declaration
from ansible_collections.sergas.ops.plugins.module_utils._host import ufw

LEVELS = ("off", "low", "medium", "high", "full")


class Plan(NamedTuple):
    """What to do, in this order; all of it empty or None where nothing is to be done."""

    #: options of community.general.ufw for one rule each, with ``text`` as a person would type it
    steps: List[dict]
    #: {"incoming": "deny"}: the default policies that differ
    policies: Dict[str, str]
    #: the level of the log if it differs, else None
    logging: object
    #: whether ufw has to be made active
    enable: bool
    #: every rule afterwards, IPv4 before IPv6
    rules: List[ufw.Rule]
    #: rules of others that are removed because they say the contrary of a declared one
    overruled: List[str]

    @property
    def changed(self):
        """Whether anything is to be done."""
        return bool(self.steps or self.policies or self.logging or self.enable)


def plan(state, wanted, tag, policies=None, logging=None, exclusive=False, complete=True):
    """Return the ``Plan`` that brings ufw from a state to what is wanted.

    Args:
        state: a ``ufw.State``.
        wanted: what ``declare`` returned.
        tag: what the comments of owned rules begin with.
        policies: {"incoming": "deny", ...}, the ones that are declared.
        logging: the level, or None for whatever it is.
        exclusive: whether the rules of others for incoming traffic go, too.
        complete: whether these are all rules: owned ones that are not wanted go.
    """
    rules = {family: [r for r in state.rules if r.family == family] for family in (4, 6)}
    by_key = {declaration.key(rule): (order, rule) for order, rule in enumerate(wanted)}
    extra = [
        rule
        for rule in state.rules
        if declaration.key(rule) not in by_key and _has_to_go(rule, tag, exclusive, complete)
    ]
    steps, overruled = [], []
    for order, want in enumerate(wanted):
        mine = rules[want.family]
        there = [rule for rule in mine if declaration.key(rule) == declaration.key(want)]
        same = [rule for rule in there if (rule.action, rule.log) == (want.action, want.log)]
        before = mine[: mine.index(same[0])] if same else mine
        # What goes anyway, if only at the end, blocks nothing.
        conflict = _conflict(want, order, [r for r in before if r not in extra], by_key)
        if same and conflict is None:
            continue
        for rule in there:
            # ufw neither moves a rule nor inserts the contrary of one: out with it first.
            steps.append(_delete(rule))
            mine.remove(rule)
            if not same and not declaration.is_owned(rule, tag):
                overruled.append(declaration.text(rule))
        if conflict in there:
            conflict = _conflict(want, order, [r for r in mine if r not in extra], by_key)
        if conflict is None:
            mine.append(want)
            steps.append(_add(want))
        else:
            index = mine.index(conflict)
            steps.append(_add(want, _number(rules, want.family, index)))
            mine.insert(index, want)
    deletions = []
    for rule in extra:
        deletions.append(_delete(rule))
        rules[rule.family].remove(rule)
    # Together, the two families of a rule for everybody are one command.
    steps += sorted(
        deletions,
        key=lambda step: step["text"].replace(declaration.ANYWHERE[6], declaration.ANYWHERE[4]),
    )
    return Plan(
        _joined(steps),
        {
            name: value
            for name, value in (policies or {}).items()
            if state.policies.get(name) != value
        },
        logging if logging and logging != state.logging else None,
        not state.enabled,
        rules[4] + rules[6],
        overruled,
    )


def _has_to_go(rule, tag, exclusive, complete):
    """Return whether a rule that is not wanted has to go."""
    if declaration.is_owned(rule, tag):
        return complete
    # A rule that logs every packet cannot be named to the module that would delete it.
    return exclusive and rule.direction == "in" and rule.log != "log-all"


def _conflict(want, order, before, by_key):
    """Return the first rule before a wanted one that decides for its traffic, or None.

    A rule of others that denies a part of what is to be allowed is an operator's decision on that
    part, and stays where it is. One that denies all of it makes the wanted rule a dead letter.
    """
    for rule in before:
        if rule.direction != "in" or rule.action == want.action:
            continue
        declared = by_key.get(declaration.key(rule))
        if declared and declared[0] < order and declared[1].action == rule.action:
            continue
        if want.action in ("allow", "limit") and not declared:
            if _covers(rule, want):
                return rule
        elif _touches(rule, want):
            return rule
    return None


def _covers(rule, want):
    """Return whether a rule decides for all the traffic that a wanted rule is about."""
    return (
        rule.protocol in ("any", want.protocol)
        and rule.interface in ("", want.interface)
        and rule.source_ports == "any"
        and declaration.shortened(rule.destination) in declaration.ANYWHERE.values()
        and addresses.within(want.source, rule.source)
        and (rule.ports == "any" or _ports(want.ports) <= _ports(rule.ports))
    )


def _touches(rule, want):
    """Return whether a rule decides for some of the traffic that a wanted rule is about."""
    return (
        ("any" in (rule.protocol, want.protocol) or rule.protocol == want.protocol)
        and (not rule.interface or not want.interface or rule.interface == want.interface)
        and (
            addresses.within(want.source, rule.source) or addresses.within(rule.source, want.source)
        )
        and ("any" in (rule.ports, want.ports) or bool(_ports(rule.ports) & _ports(want.ports)))
    )


def _ports(text_):
    if text_ == "any":
        return set(range(1, 65536))
    found = set()
    for part in text_.split(","):
        first, _colon, last = part.partition(":")
        if first.isdigit():
            found |= set(range(int(first), int(last or first) + 1))
    return found


def concerns(rule, protocol, port):
    """Return whether a rule is about a port."""
    return rule.protocol in ("any", protocol) and (
        rule.ports == "any" or port in _ports(rule.ports)
    )


def _number(rules, family, index):
    """Return ufw's number of a position: the ports of an application's profile count once."""
    before = (rules[4] if family == 6 else []) + rules[family][:index]
    seen = set()
    count = 0
    for rule in before:
        if rule.applications != ("", ""):
            profile = (
                rule.family,
                rule.applications,
                rule.source,
                rule.destination,
                rule.interface,
            )
            if profile in seen:
                continue
            seen.add(profile)
        count += 1
    return count + 1


def _options(rule):
    """Return a rule as options of community.general.ufw."""
    options = {"rule": rule.action, "from_ip": rule.source, "family": rule.family}
    if rule.direction == "route":
        options["route"] = True
        if rule.interface:
            options["interface_in"] = rule.interface
        if rule.interface_out:
            options["interface_out"] = rule.interface_out
    elif rule.interface or rule.interface_out or rule.direction == "out":
        options["direction"] = rule.direction
        if rule.interface or rule.interface_out:
            options["interface"] = rule.interface or rule.interface_out
    if declaration.shortened(rule.destination) not in declaration.ANYWHERE.values():
        options["to_ip"] = rule.destination
    if rule.applications[0]:
        options["name"] = rule.applications[0]
    else:
        if rule.ports != "any":
            options["to_port"] = rule.ports
        if rule.protocol != "any":
            options["proto"] = rule.protocol
    if rule.source_ports != "any":
        options["from_port"] = rule.source_ports
    if rule.log:
        options["log"] = True
    options["text"] = declaration.text(rule)
    return options


def _add(rule, number=None):
    options = dict(_options(rule), comment=rule.comment)
    if number:
        options["insert"] = number
    return options


def _delete(rule):
    options = dict(_options(rule), delete=True)
    options["text"] = "delete " + options["text"]
    return options


def _joined(steps):
    """Return steps in which the two families of one rule for everybody are one step.

    Only where they follow each other: a position is that of one family.
    """
    joined: List[dict] = []
    for step in steps:
        last = joined[-1] if joined else None
        if (
            last
            and last["from_ip"] == declaration.ANYWHERE[4]
            and step["from_ip"] == declaration.ANYWHERE[6]
        ):
            ignored = ("from_ip", "family", "text")
            if "insert" not in last and all(
                last.get(name) == step.get(name)
                for name in set(last) | set(step)
                if name not in ignored
            ):
                joined[-1] = dict(last, from_ip="any", family=0)
                joined[-1]["text"] = last["text"].replace(declaration.ANYWHERE[4], "any")
                continue
        joined.append(step)
    return joined
