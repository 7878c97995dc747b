# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host's firewall beside the declared rules: what differs, what would lock someone out, what is
open that should not be.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core import (
    addresses,
    errors,
    files,
    process,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, is_bad, roots
from ansible_collections.sergas.ops.plugins.module_utils._firewall import declaration, host, reach
from ansible_collections.sergas.ops.plugins.module_utils._firewall import plan as firewall_plan
from ansible_collections.sergas.ops.plugins.module_utils._firewall import (
    published as firewall_published,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    container_rules,
    packet_filter,
    ufw,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp

_GUIDE = "Unauthorized Access Attempts"
#: Set aside for examples (RFC 5737, RFC 3849): what allows these allows any client.
STRANGER = {4: "192.0.2.254", 6: "2001:db8:ffff:ffff::fe"}
_RULES_SHOWN = 20
REASONS = {"security.firewall.drift": ("inactive", "not_loaded", "differs")}


@errors.reported()
def run(params, deadline):
    """Return the result of the module: the plan, what it would shut out, and the findings.

    Raises:
        ValueError: a declared rule is none.
        ConnectionFailed: the name in a rule cannot be resolved.
        PermissionError: ufw's files may not be read.
    """
    state = ufw.read_state()
    program = process.find("ufw") is not None
    state = state._replace(installed=program, enabled=state.enabled and program)
    session = host.session()
    ssh = host.ssh_ports(deadline, session)
    tag = params["tag"]
    expanded = expand(params["rules"], ssh, lambda name: resolve("rules: from", name, deadline))
    keep = [
        dict(item, addresses=resolve("keep: address", item["address"], deadline))
        for item in params["keep"]
    ]
    wanted = declaration.declare(expanded, tag, state.ipv6)
    if session and params["session"]:
        here = {"who": "this session", "addresses": [session["peer"]], "port": session["port"]}
        keep.append(dict(here, own=session["address"]))
        wanted = with_session(wanted, session, state, tag, params["complete"])
    plan = firewall_plan.plan(
        state,
        wanted,
        tag,
        params["policies"],
        params["logging"],
        params["exclusive"],
        params["complete"],
    )
    afterwards = reach.as_firewall(state, plan)
    found = packet_filter.read(deadline)
    published = host.published(found)
    closed = {item["port"]: is_closed_by_others(item, found) for item in published}
    left = [item for item in published if not closed[item["port"]]]
    ports = closed_ports(params["published"], left, _read(params["published_file"]))
    table, chain = firewall_published.table(ports, wanted)
    current = not ports or any(
        table.name == firewall_published.TABLE and chain in table.chains for table in found.tables
    )
    bypassing = firewall_published.bypassing(left, wanted, current)
    open_ports, unclear = reach.exposed(
        found,
        ufw.read() if state.installed else ufw.Firewall(False, False, "ACCEPT", []),
        declared(wanted, state, params["policies"]),
        host.listeners(),
        [(address, *packet_filter.route(address)) for address in STRANGER.values()],
    )
    findings = judge_drift(state, plan, wanted, is_loaded(state, found))
    findings += judge_exposure(
        open_ports,
        [item for item in bypassing if closed[item["port"]] is False and not found.gaps],
        wanted,
        found.gaps
        + ["port %d: %s" % (item["port"], item["by"]) for item in unclear]
        + [
            "the published port %d: a rule is not understood" % item["port"]
            for item in bypassing
            if closed[item["port"]] is None
        ],
    )
    for item in findings:
        item["guide"] = item["guide"] or _GUIDE
    before = describe(state, state.rules, {}, None)
    after = describe(state._replace(enabled=True), plan.rules, plan.policies, plan.logging)
    return {
        "installed": state.installed,
        "enabled": state.enabled,
        "session": session,
        "ssh_ports": ssh,
        "steps": plan.steps,
        "policies": plan.policies,
        "logging": plan.logging,
        "enable": plan.enable,
        "differs": plan.changed,
        "overruled": plan.overruled,
        "refused": reach.shut_out(
            afterwards,
            [
                dict(_way(item, address), who=item["who"], port=port, address=address)
                for item in keep
                for address in map(_one_of, item["addresses"])
                for port in ([item["port"]] if item["port"] else ssh)
            ],
        ),
        "before": before,
        "after": after,
        "diff": {"before_header": "ufw", "after_header": "ufw", "before": before, "after": after},
        "published": published,
        "published_rules": table if ports else None,
        "published_current": current,
        "published_before": bool(_read(params["published_file"])),
        "findings": findings,
        "roots": [item["id"] for item in roots(findings)],
        "bad": sum(map(is_bad, findings)),
    }


def _read(path):
    try:
        return files.read_text(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _way(item, address):
    own, interface = packet_filter.route(address)
    return {"own": item.get("own") or own, "interface": interface}


def is_loaded(state, found):
    """Return whether the rules of an enabled ufw are in force, None where it is not known (pure).

    Args:
        state: the ``ufw.State``.
        found: the ``packet_filter.Filter`` of the host.
    """
    if not state.enabled:
        return False
    if any("ufw-user-input" in table.chains for table in found.tables):
        return True
    return None if found.gaps else False


def resolve(option, name, deadline):
    """Return the addresses of a name, or an address or a network as it is.

    Args:
        option: the module's option that has it, for the message.
        name: in any notation.
        deadline: a Deadline for the name's resolution.

    Returns:
        list of str, as the packet filter sees them.

    Raises:
        addresses.AddressError: it is none of these.
        ConnectionFailed: the name cannot be resolved.
    """
    name = addresses.option_or_name(option, name)
    if addresses.known(name) is not None:
        return [name]
    resolved = tcp.resolve(name, None, deadline)
    return sorted({addresses.canonical(item[4][0]) for item in resolved})


def _one_of(address):
    """Return an address, or the first one of a network, which stands for the others."""
    return str(addresses.network(address)[0])


def expand(rules, ssh, look_up):
    """Return declared rules with numbers for the port ``ssh`` and addresses for names.

    Args:
        rules: as declared.
        ssh: the ports of sshd.
        look_up: takes a name and returns its addresses.
    """
    expanded = []
    for rule in rules:
        source = rule.get("from") or "any"
        for address in ["any"] if source == "any" else look_up(source):
            for port in ssh if str(rule.get("port")) == "ssh" else [rule.get("port")]:
                expanded.append(dict(rule, port=port, **{"from": address}))
    return expanded


def with_session(wanted, session, state, tag, complete):
    """Return the wanted rules, with one for the session first if nothing else allows it (pure).

    A rule of others may be there today and gone tomorrow, so where these are all the rules, only
    they count.
    """
    if complete:
        firewall = declared(wanted, state, {"incoming": "deny"})
    else:
        plan = firewall_plan.plan(state, wanted, tag, complete=False)
        firewall = reach.as_firewall(state, plan)
    if ufw.verdict(firewall, session["port"], session["peer"])[0]:
        return wanted
    own = {
        "from": session["peer"],
        "port": session["port"],
        "comment": "the session of the last run",
    }
    return declaration.declare([own], tag, state.ipv6) + wanted


def declared(wanted, state, policies):
    """Return the ``ufw.Firewall`` that the declared rules alone would make (pure)."""
    policy = (policies or {}).get("incoming") or state.policies["incoming"]
    shown_policy = {"allow": "ACCEPT", "deny": "DROP", "reject": "REJECT"}[policy]
    return ufw.Firewall(True, True, shown_policy, list(wanted), state.ipv6)


def is_closed_by_others(item, found):
    """Return whether rules of others keep strangers from a published port (pure).

    Args:
        item: the port as ``host.published`` returns it.
        found: the ``packet_filter.Filter`` of the host.

    Returns:
        bool, or None where that is not known.
    """
    others = [table for table in found.tables if table.name != firewall_published.TABLE]
    address, _colon, port = item["to"].rpartition(":")
    to = (addresses.known(address), int(port) if port.isdigit() else None)
    if item["protocol"] != "tcp":
        return False
    return container_rules.restricts(found._replace(tables=others), item["port"], to)


def closed_ports(given, published, text):
    """Return the published ports that the rules are about: given, found, or there before (pure).

    An engine that is stopped for a moment publishes nothing, and its ports stay closed.
    """
    kept = [
        {"protocol": protocol, "port": int(port)}
        for protocol, port in re.findall(r"^\s*(tcp|udp) dport (\d+) drop$", text, re.M)
    ]
    return [{"protocol": "tcp", "port": port} for port in given] + published + kept


def describe(state, rules, policies, logging):
    """Return ufw's state as text, one fact a line, for a diff (pure)."""
    current = dict(state.policies, **policies)
    lines = [
        "status: %s" % ("active" if state.enabled else "inactive"),
        "logging: %s" % (logging or state.logging),
    ]
    lines += ["default %s: %s" % (name, current[name]) for name in sorted(current)]
    for rule in rules:
        lines.append(declaration.text(rule) + (" # " + rule.comment if rule.comment else ""))
    return "\n".join(lines) + "\n"


def judge_drift(state, plan, wanted, loaded=True):
    """Return the finding on what differs from the declared rules (pure).

    Args:
        state: the ``ufw.State``.
        plan: what would have to be done.
        wanted: the declared rules.
        loaded: what ``is_loaded`` returned.
    """
    advice = "Apply the role firewall, or declare what was changed by hand."
    if not state.installed or not state.enabled:
        summary = "ufw is %s: the %d declared rules are not enforced" % (
            "not active" if state.installed else "not installed",
            len(wanted),
        )
        return [_drift("fail", summary, {}, advice)]
    if loaded is None:
        summary = "Whether the rules of ufw are in force is not known: they cannot be read"
        return [
            finding("security.firewall.unknown", "security", "unknown", summary, reason="rules")
        ]
    if not loaded:
        summary = "ufw is enabled, and its rules are not in force: something has removed them"
        return [
            finding(
                "security.firewall.drift",
                "security",
                "fail",
                summary,
                reason="not_loaded",
                advice="Check systemctl status ufw and what else sets rules, then: ufw reload.",
            )
        ]
    if not plan.changed:
        summary = "ufw is active with the %d declared rules" % len(wanted)
        return [finding("security.firewall.ok", "security", "ok", summary)]
    missing = [step["text"] for step in plan.steps if not step.get("delete")]
    extra = [step["text"][len("delete ") :] for step in plan.steps if step.get("delete")]
    parts = []
    if missing:
        parts.append("%d missing or without effect" % len(missing))
    if extra:
        parts.append("%d to go" % len(extra))
    if plan.policies:
        parts.append("default policy %s" % ", ".join(sorted(plan.policies)))
    if plan.logging:
        parts.append("logging %s, not %s" % (state.logging, plan.logging))
    evidence = {
        "missing": missing[:_RULES_SHOWN],
        "extra_rules": extra[:_RULES_SHOWN],
        "policies": plan.policies,
    }
    summary = "ufw differs from the declared rules: " + "; ".join(parts)
    return [_drift("warn", summary, evidence, advice)]


def _drift(status, summary, evidence, advice):
    return finding(
        "security.firewall.drift",
        "security",
        status,
        summary,
        reason="inactive" if status == "fail" else "differs",
        evidence=evidence,
        remedy="apply_firewall",
        advice=advice,
    )


def judge_exposure(open_ports, published, wanted, gaps=()):
    """Return the findings on ports that are open to every address and should not be (pure).

    Args:
        open_ports: those of the host, see ``reach.exposed``.
        published: those of containers.
        wanted: the declared rules.
        gaps: what is not known of the rules in force, as sentences.
    """
    findings = []
    for item in published:
        findings.append(
            finding(
                "security.ports.exposed",
                "security",
                "fail",
                "A container's port %d/%s is published past ufw to every address"
                % (item["port"], item["protocol"]),
                evidence={"port": item["port"], "to": item["to"], "by": "a published port"},
                remedy="apply_firewall",
                advice="Publish it on 127.0.0.1 only, or close it with the role firewall.",
            )
        )
    for item in open_ports:
        # A rule declares the port for some addresses, and not for all.
        meant = any(
            firewall_plan.concerns(rule, "tcp", item["port"]) and rule.ports != "any"
            for rule in wanted
        )
        findings.append(
            finding(
                "security.ports.exposed",
                "security",
                "fail" if meant else "warn",
                "Port %d is open to every address, %s: %s"
                % (
                    item["port"],
                    "which is declared for some only" if meant else "which no rule declares",
                    item["by"],
                ),
                evidence={
                    "port": item["port"],
                    "listening": item["addresses"],
                    "by": item["by"],
                },
                remedy="apply_firewall" if item["by"] == "ufw is not active" else None,
                advice="Remove what allows every address, or declare the port.",
            )
        )
    if gaps:
        summary = "Whether other ports are open to every address is not known: %s" % gaps[0]
        findings.append(
            finding(
                "security.ports.unknown",
                "security",
                "unknown",
                summary,
                reason="rules",
                evidence={"gaps": list(gaps)[:_RULES_SHOWN]},
                advice="Check them by hand: nft list ruleset, iptables-save.",
            )
        )
    if findings:
        return findings
    summary = "No port is open to every address that is not declared"
    return [finding("security.ports.ok", "security", "ok", summary)]
