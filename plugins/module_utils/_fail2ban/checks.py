# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fail2ban's jails and their bans: whether they stop attackers, and no one of ours."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import (
    Check,
    Observed,
    Probe,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    NotHere,
    Unmeasurable,
    finding,
)
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import (
    bans,
    client,
    configuration,
    rules,
)
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import (
    sources as fail2ban_sources,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import ufw, unit

_GUIDE = "Unauthorized Access Attempts"
#: Bans whose rule is looked up at most: each is a command.
_MOST_LOOKUPS = 20


# Jails


def observe_fail2ban(ctx):
    """Return what fail2ban does on this host: its service, its jails and their bans.

    The aspect ``input`` has a gap where it is not known whether a jail has anything to read, and
    ``firewall`` where it is not known whether a ban is in force.

    Raises:
        NotHere: it is not installed.
        PermissionError: only root may query its server.
    """
    if process.find("fail2ban-server") is None:
        if ctx.params["jails"]:
            return {"installed": False, "protected": []}
        raise NotHere("fail2ban is not on this host")
    state, reason = unit.read(client.UNIT, ctx.deadline)
    if reason:
        raise Unmeasurable(reason)
    protected, _unknown = bans.resolve(ctx.params["protected"])
    seen = {
        "installed": True,
        "protected": protected,
        "active": state.get("ActiveState"),
        "enabled": state.get("UnitFileState"),
        "result": state.get("Result"),
        "silent": None,
        "jails": [],
        "ufw": rules.denied_by_ufw(ufw.read_state().rules)[0],
        "overridden": configuration.read_overrides(
            client.CONFIG, configuration.read_own(client.CONFIG)
        ),
    }
    if seen["active"] != "active":
        return seen
    gaps: dict = {}
    try:
        with client.Server(timeout=max(0.5, ctx.deadline.remaining())) as server:
            backends = _backends(ctx.deadline, gaps)
            seen["jails"] = [
                _observe_jail(ctx, server, name, backends.get(name), gaps)
                for name in server.jails()
            ]
    except (client.ServerDown, client.Refused) as error:
        seen["silent"] = str(error)
    return Observed(seen, gaps)


def _backends(deadline, gaps):
    """Return {jail: backend} of the configuration, which the server does not tell."""
    try:
        # A third of what is left: without it, the rest is still known.
        limited = deadline.within(max(1.0, deadline.remaining() / 3))
        status, out, err = process.run(["fail2ban-client", "-d"], limited)
        reason = (err.strip().splitlines() or ["exit status %d" % status])[-1] if status else None
        found = {name: jail.backend for name, jail in client.parse_dump(out).items()}
    except (process.CommandMissing, DeadlineExceeded, OperationError) as error:
        found, reason = {}, str(error)
    if reason:
        gaps["input"] = "what the jails read is not known: fail2ban-client -d: %s" % reason[:200]
        return {}
    return found


def _observe_jail(ctx, server, name, backend, gaps):
    jail = server.jail(name)
    sources = fail2ban_sources.observe(backend, jail.journalmatch, jail.logpaths, ctx.deadline)
    if jail.journalmatch and sources.lines is None and name != fail2ban_sources.BY_HAND:
        gaps.setdefault("input", "whether the journal has lines for jail %s is not known" % name)
    held = {
        address: rules.holds(jail.actions, name, address, ctx.deadline)
        for address in jail.banned[:_MOST_LOOKUPS]
    }
    lost = [address for address, is_held in held.items() if is_held is False]
    unclear = [address for address, is_held in held.items() if is_held is None]
    if unclear and any(rules.lookup(action, name, unclear[0]) for action in jail.actions):
        gaps["firewall"] = "whether the ban of %s is in force cannot be read" % unclear[0]
    return {
        "name": name,
        "watches": fail2ban_sources.describe(sources),
        "reason": None if name == fail2ban_sources.BY_HAND else fail2ban_sources.no_input(sources),
        "failed": jail.failed,
        "maxretry": jail.maxretry,
        "findtime": jail.findtime,
        "bantime": jail.bantime,
        "ignored": list(jail.ignored),
        "banned": list(jail.banned),
        "not_in_firewall": lost,
    }


def decide_jails(ctx, seen):
    """Return the findings about the jails: dead, missing, blind, or able to ban our own (pure)."""
    expected = ctx.params["jails"]
    if not seen["installed"]:
        return [_missing("fail2ban is not installed", expected)]
    if seen["active"] != "active":
        if seen["enabled"] in ("enabled", "enabled-runtime") or expected:
            return [_dead("fail2ban is %(enabled)s, but %(active)s (result %(result)s)" % seen)]
        raise NotHere("fail2ban is installed, but neither enabled nor running")
    if seen["silent"]:
        return [_dead("fail2ban runs and does not answer: %s" % seen["silent"])]
    found = []
    running = {jail["name"] for jail in seen["jails"]}
    absent = [name for name in expected if name not in running]
    if absent or not running:
        found.append(_missing("no jail %s runs" % ", ".join(absent or ["at all"]), absent))
    found += [_no_input(jail) for jail in seen["jails"] if jail["reason"]]
    ours = [jail for jail in seen["jails"] if jail["name"] in expected]
    exposed = _exposed(ours, seen["protected"])
    if exposed:
        found.append(_exposing(exposed, seen["overridden"]))
    return found or [_working(seen)]


def _exposed(jails, protected):
    """Return {jail: [protected address that it does not ignore]}."""
    exposed = {}
    for jail in jails:
        bare = [
            item
            for item in protected
            if not any(addresses.within(item, ignored) for ignored in jail["ignored"])
        ]
        if bare:
            exposed[jail["name"]] = bare
    return exposed


def _missing(reason, jails):
    return finding(
        "security.jail.missing",
        "security",
        "fail",
        "Attacks are not stopped: %s" % reason,
        evidence={"jails": list(jails)},
        remedy="set_up_jails",
        advice="Set the jails up with the role fail2ban.",
    )


def _dead(reason):
    return finding(
        "security.jail.dead",
        "security",
        "fail",
        "Attacks are not stopped: %s" % reason,
        remedy="set_up_jails",
        advice=(
            "Read journalctl -u fail2ban and /var/log/fail2ban.log. A jail that reads a file which"
            " is not there, or the journal without python3-systemd, ends the whole server."
        ),
    )


def _no_input(jail):
    return finding(
        "security.jail.no_input",
        "security",
        "fail",
        "The jail %s sees nothing: %s" % (jail["name"], jail["reason"]),
        evidence={key: jail[key] for key in ("name", "watches", "reason")},
        remedy="set_up_jails",
        advice="Let it watch the journal of the unit that does the work.",
    )


def _exposing(exposed, overridden):
    return finding(
        "security.jail.exposed",
        "security",
        "warn",
        "%s may ban addresses of our own: %s"
        % (", ".join(sorted(exposed)), ", ".join(sorted(exposed.items())[0][1][:5])),
        evidence={"jails": exposed, "overridden": overridden[:10]},
        remedy="set_up_jails",
        advice="Put them into the jail's ignoreip; one in jail.local counts over the role's.",
    )


def _working(seen):
    return finding(
        "security.jails.ok",
        "security",
        "ok",
        "%d jails of fail2ban watch: %s"
        % (len(seen["jails"]), ", ".join(jail["name"] for jail in seen["jails"])),
        value=len(seen["jails"]),
        unit="jails",
        evidence={
            "jails": [
                {key: jail[key] for key in ("name", "watches", "failed", "maxretry", "bantime")}
                for jail in seen["jails"]
            ],
            "overridden": seen["overridden"][:10],
        },
    )


# Bans


def decide_bans(_ctx, seen):
    """Return the findings about the bans: of our own, without effect, or as they should be
    (pure).
    """
    if seen["silent"]:
        raise Unmeasurable("fail2ban runs and does not answer: %s" % seen["silent"])
    if not seen["installed"] or seen["active"] != "active":
        raise NotHere("fail2ban does not run, so it bans no one")
    banned = {jail["name"]: jail["banned"] for jail in seen["jails"] if jail["banned"]}
    legitimate = {
        name: [item for item in items if addresses.covering(seen["protected"], item)]
        for name, items in banned.items()
    }
    legitimate = {name: items for name, items in legitimate.items() if items}
    lost = {
        jail["name"]: jail["not_in_firewall"] for jail in seen["jails"] if jail["not_in_firewall"]
    }
    left = {
        name: [item for item in items if item not in banned.get(name, ())]
        for name, items in seen["ufw"].items()
    }
    left = {name: items for name, items in left.items() if items}
    found = []
    if left:
        found.append(
            finding(
                "security.ban.leftover",
                "security",
                "warn",
                "ufw still denies %s, which fail2ban does not ban any more"
                % ", ".join(sorted(sum(left.values(), []))),
                evidence={"denied": {name: items[:20] for name, items in left.items()}},
                advice="Unban it with sergas_unblock, which removes the rule of ufw as well.",
            )
        )
    if legitimate:
        found.append(
            finding(
                "security.ban.legitimate_client",
                "security",
                "fail",
                "Our own %s is banned by %s"
                % (", ".join(sorted(sum(legitimate.values(), []))), ", ".join(sorted(legitimate))),
                evidence={"banned": legitimate},
                remedy="set_up_jails",
                advice="Unban it (fail2ban-client unban ADDRESS) and put it into ignoreip.",
            )
        )
    if lost:
        found.append(
            finding(
                "security.ban.ineffective",
                "security",
                "fail",
                "fail2ban has banned %s, but the firewall does not block them"
                % ", ".join(sorted(sum(lost.values(), []))),
                evidence={"banned": lost},
                remedy="set_up_jails",
                advice="Something has emptied the firewall's rules: restart fail2ban after it.",
            )
        )
    if found:
        return found
    count = sum(len(items) for items in banned.values())
    return [
        finding(
            "security.bans.ok",
            "security",
            "ok",
            "%d addresses are banned" % count,
            value=count,
            unit="addresses",
            evidence={"banned": {name: items[:20] for name, items in banned.items()}},
        )
    ]


PROBES = {"fail2ban": Probe(observe_fail2ban, 10, ("input", "firewall"))}
CHECKS = {
    "jails": Check(
        decide_jails,
        ("fail2ban",),
        "security.jails",
        "security",
        (),
        _GUIDE,
        stands_on=("fail2ban.input",),
    ),
    "bans": Check(
        decide_bans,
        ("fail2ban",),
        "security.bans",
        "security",
        (),
        _GUIDE,
        stands_on=("fail2ban.firewall",),
    ),
}
