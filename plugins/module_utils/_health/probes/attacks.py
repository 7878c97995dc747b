# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attacks on the app that its log shows: guessed passwords, scans."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import extent
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

REASONS = {"security.bruteforce": ("client", "balancer", "forgeable")}
#: What uvicorn and gunicorn take for "from everywhere".
_EVERYWHERE = ("*", "0.0.0.0/0", "::/0")
_OPTION = re.compile(r"--forwarded-allow-ips[ =](\S+)")


def decide(ctx, logs, *others):
    """Return the addresses that fail to authenticate too often or scan the API, and of those the
    ones that got in.

    Args:
        ctx: the ``Context``.
        logs: what the probe of the logs returned.
        others: what the probes that only say what was lost returned, and last those of the
            environment and of the firewall, which has the balancers' addresses; each may be None.
    """
    environment, inbound = others[-2:] if others else (None, None)
    balancers = _balancers(ctx, inbound)
    warn, fail, unit_name = ctx.thresholds["auth_failures"]
    scan_warn, scan_fail, _scan_unit = ctx.thresholds["scanned_paths"]
    order = ("ok", "warn", "fail")
    listed, worst = [], "ok"
    for client in logs["addresses"]:
        status = max(
            grade(client["failures"], warn, fail),
            grade(client["scanned"], scan_warn, scan_fail),
            key=order.index,
        )
        if status != "ok":
            times = {key: clock(client[key]) for key in ("first", "last")}
            times["logged_in"] = clock(client["logged_in"]) if client["logged_in"] else None
            listed.append(dict(client, **times))
            worst = max(worst, status, key=order.index)
    most = max([client["failures"] for client in logs["addresses"]] or [0])
    if worst == "ok":
        return [
            finding(
                "security.access.ok",
                "security",
                "ok",
                "At most %d failed authentications by one address %s (from %g on)"
                % (most, extent.suffix(logs), warn),
                value=most,
                unit=unit_name,
                warn=warn,
                fail=fail,
                confidence=extent.confidence(logs),
                evidence=dict(extent.evidence(logs), busiest=_busiest(logs, balancers)),
            )
        ]
    for client in listed:
        client["balancer"] = balancers.get(client["address"])
    top = listed[0]
    reason, remedy, advice, more = "client", "block_addresses", _BLOCK, ""
    if all(client["balancer"] for client in listed):
        reason, remedy, advice = "balancer", None, _BEHIND % top["address"]
        more = (
            "; this address is your load balancer %s: who is behind it is not in the log"
            % (top["balancer"])
        )
    elif trusts_everywhere(ctx, environment):
        # The attacker says which address is blocked.
        reason, remedy, advice = "forgeable", None, _FORGEABLE
    return [
        finding(
            "security.bruteforce",
            "security",
            worst,
            "%d addresses attack the API %s: %s with %d failed authentications (from %g on) and %d"
            " paths tried (from %g on)%s"
            % (
                len(listed),
                extent.suffix(logs),
                top["address"],
                top["failures"],
                warn,
                top["scanned"],
                scan_warn,
                more,
            ),
            reason=reason,
            value=most,
            unit=unit_name,
            warn=warn,
            fail=fail,
            confidence=extent.confidence(logs),
            evidence=dict(
                extent.evidence(logs),
                last_seen=max(client["last"] for client in listed),
                addresses=listed[:20],
                count=len(listed),
                busiest=_busiest(logs, balancers),
            ),
            remedy=remedy,
            advice=advice,
        )
    ] + _guessed(logs, warn, fail, unit_name, balancers)


_BLOCK = "Block the addresses that belong to no legitimate client, and limit the rate of logins."
_BEHIND = (
    "Block the client at the balancer, whose own log has its address. Have the app log it, too:"
    " FORWARDED_ALLOW_IPS=%s, and X-Forwarded-For set by the balancer."
)
_FORGEABLE = (
    "Do not block them yet: X-Forwarded-For is trusted from everywhere, so these addresses are what"
    " the attacker has written there. Set FORWARDED_ALLOW_IPS to the balancer's address first."
)


def _balancers(ctx, inbound):
    """Return {address: the name that was given for it} of the balancers."""
    known = dict((inbound or {}).get("balancers") or {})
    for given in ctx.params.get("balancer_addresses") or ():
        known[given] = known.get(given) or addresses.known(given)
    return {address: given for given, address in known.items() if address}


def _busiest(logs, balancers):
    return [
        dict(
            client,
            first=clock(client["first"]),
            last=clock(client["last"]),
            balancer=balancers.get(client["address"]),
        )
        for client in logs.get("busiest", ())
    ]


def trusts_everywhere(ctx, environment):
    """Return whether the app's server takes X-Forwarded-For from any client."""
    plain = (environment or {}).get("plain", {})
    command = unit.command_line(ctx.unit)
    if "--no-proxy-headers" in command:
        return False
    option = _OPTION.search(command)
    given = option.group(1) if option else plain.get("FORWARDED_ALLOW_IPS") or ""
    return any(part.strip("\"' ") in _EVERYWHERE for part in given.split(","))


def decide_forwarded(ctx, environment, sockets=None):
    """Return whether a client can choose the address that the app logs and limits it by."""
    listening = {listener["address"] for listener in (sockets or {}).get("listeners", ())}
    if not trusts_everywhere(ctx, environment):
        summary = "X-Forwarded-For is not trusted from everywhere"
        return [finding("security.forwarded.ok", "security", "ok", summary)]
    if listening and all(addresses.is_loopback(address) for address in listening):
        summary = "X-Forwarded-For is trusted from everywhere, and only this host reaches the app"
        return [finding("security.forwarded.ok", "security", "ok", summary)]
    return [
        finding(
            "security.forwarded.any",
            "security",
            "warn",
            "X-Forwarded-For is trusted from everywhere (FORWARDED_ALLOW_IPS=*): any client can"
            " write another address into the log, and get that one banned",
            evidence={"listening": sorted(listening)},
            advice="Set FORWARDED_ALLOW_IPS to the balancer's address, and restart the app.",
        )
    ]


def _guessed(logs, warn, fail, unit_name, balancers):
    """Return the finding about who logged in after as many failures as an attack has, [] for
    none.

    Behind a balancer's address are all clients: the failures of one and the login of another.
    """
    inside = [
        client
        for client in logs["addresses"]
        if client["failures"] >= warn
        and client["logged_in"]
        and client["logged_in"] >= client["first"]
        and client["address"] not in balancers
    ]
    if not inside:
        return []
    top = max(inside, key=lambda client: client["failures"])
    return [
        finding(
            "security.login.guessed",
            "security",
            grade(top["failures"], warn, fail),
            "%s logged in at %s, after %d failed authentications (from %g on)"
            % (top["address"], clock(top["logged_in"]), top["failures"], warn),
            value=top["failures"],
            unit=unit_name,
            warn=warn,
            fail=fail,
            evidence=dict(
                extent.evidence(logs),
                last_seen=clock(max(client["logged_in"] for client in inside)),
                addresses=[client["address"] for client in inside[:20]],
            ),
            remedy="revoke_sessions",
            advice=(
                "Unless that is a legitimate client, revoke all sessions and give the account a new"
                " password."
            ),
        )
    ]
