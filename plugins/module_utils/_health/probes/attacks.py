# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attacks on the app that its log shows: guessed passwords, scans."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import extent


def decide(ctx, logs, *_counters):
    """Return the addresses that fail to authenticate too often or scan the API, and of those the
    ones that got in.
    """
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
                evidence=extent.evidence(logs),
            )
        ]
    top = listed[0]
    return [
        finding(
            "security.bruteforce",
            "security",
            worst,
            "%d addresses attack the API %s: %s with %d failed authentications (from %g on) and %d"
            " paths tried (from %g on)"
            % (
                len(listed),
                extent.suffix(logs),
                top["address"],
                top["failures"],
                warn,
                top["scanned"],
                scan_warn,
            ),
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
            ),
            remedy="block_addresses",
            advice="Block the addresses that belong to no legitimate client, and limit the rate of"
            " logins.",
        )
    ] + _guessed(logs, warn, fail, unit_name)


def _guessed(logs, warn, fail, unit_name):
    """Return the finding about who logged in after as many failures as an attack has, [] for
    none.
    """
    inside = [
        client
        for client in logs["addresses"]
        if client["failures"] >= warn
        and client["logged_in"]
        and client["logged_in"] >= client["first"]
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
