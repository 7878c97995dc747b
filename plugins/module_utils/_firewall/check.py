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
from ansible_collections.sergas.ops.plugins.module_utils._host import container_rules, ufw
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp

_GUIDE = "Unauthorized Access Attempts"
#: Set aside for examples (RFC 5737, RFC 3849): what allows these allows any client.
STRANGER = {4: "192.0.2.254", 6: "2001:db8:ffff:ffff::fe"}
_RULES_SHOWN = 20


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
    ssh = host.ssh_ports(deadline)
    tag = params["tag"]
    expanded = expand(params["rules"], ssh, lambda name: resolve("rules: from", name, deadline))
    keep = [
        dict(item, addresses=resolve("keep: address", item["address"], deadline))
        for item in params["keep"]
    ]
    wanted = declaration.declare(expanded, tag, state.ipv6)
    if session and params["session"]:
        keep.append(
            {"who": "this session", "addresses": [session["peer"]], "port": session["port"]}
        )
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
    published = host.published(deadline)
    guarded = container_rules.read(deadline) if published else None
    ports = closed_ports(
        params["published"],
        [item for item in published if not is_closed_by_others(item, guarded)],
        _read(params["published_file"]),
    )
    table, chain = firewall_published.table(ports, wanted)
    current = not ports or host.has_chain(firewall_published.TABLE, chain, deadline)
    findings = judge_drift(state, plan, wanted)
    findings += judge_exposure(
        reach.exposed(
            ufw.read() if state.installed else ufw.Firewall(False, False, "ACCEPT", []),
            declared(wanted, state, params["policies"]),
            host.listeners(),
            STRANGER,
        ),
        firewall_published.bypassing(
            [item for item in published if not is_closed_by_others(item, guarded)], wanted, current
        ),
        wanted,
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
                {"who": item["who"], "port": port, "address": address}
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
    except OSError:
        return ""


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


def is_closed_by_others(item, guarded):
    """Return whether rules of others keep strangers from a published port (pure).

    Args:
        item: the port as ``host.published`` returns it.
        guarded: the rules for published ports (``container_rules.read``).
    """
    others = [table for table in guarded.tables if firewall_published.TABLE not in table[0].split()]
    return item["protocol"] == "tcp" and container_rules.restricts(
        guarded._replace(tables=others), item["port"], item["engine"] == "docker"
    )


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


def judge_drift(state, plan, wanted):
    """Return the finding on what differs from the declared rules (pure)."""
    advice = "Apply the role firewall, or declare what was changed by hand."
    if not state.installed or not state.enabled:
        summary = "ufw is %s: the %d declared rules are not enforced" % (
            "not active" if state.installed else "not installed",
            len(wanted),
        )
        return [_drift("fail", summary, {}, advice)]
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
        evidence=evidence,
        remedy="apply_firewall",
        advice=advice,
    )


def judge_exposure(open_ports, published, wanted):
    """Return the findings on ports that are open to every address and should not be (pure)."""
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
    if findings:
        return findings
    summary = "No port is open to every address that is not declared"
    return [finding("security.ports.ok", "security", "ok", summary)]
