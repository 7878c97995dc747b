# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules for root causes on one host: which bad finding derives from which other one.

One fault gives one root, two faults give two. So a finding derives from another one only if that
one explains it: a unit that an operator stopped is not down because of a database, and exceptions
of the app's own code are roots even while the database causes others. What is shown in the evidence
decides. How to add a rule: see ``_core/causes.py``.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core import causes
from ansible_collections.sergas.ops.plugins.module_utils._core.causes import Rule, all_of
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import reason_code
from ansible_collections.sergas.ops.plugins.module_utils._health import health_body

#: What keeps an app from its database, or makes it wait there. Other findings on it (an index that
#: is not used, a sequence near its end) are no reason for anything.
_DATABASE = (
    "db.unreachable",
    "db.auth.failed",
    "db.missing",
    "db.writes.refused",
    "db.disk.full",
    "db.connections.exhausted",
    "db.locks.blocked",
    "db.queries.slow",
    "db.queries.running",
)
#: What keeps the app from the right value of a setting.
_SETTINGS = ("app.env.missing", "app.env.invalid")
#: By which variables another start of the app would change a finding.
_CHANGED_BY = {
    "db.unreachable": r"DATABASE_(?:URL|HOST|PORT)",
    "db.auth.failed": r"DATABASE_(?:URL|HOST|PORT|USER|PASSWORD)",
    "db.missing": r"DATABASE_(?:URL|HOST|PORT|NAME)",
    "redis.unreachable": r"REDIS_(?:URL|HOST|PORT|SSL)",
    "redis.auth.failed": r"REDIS_(?:URL|HOST|PORT|USERNAME|PASSWORD)",
    "zoho.token.invalid": r"ZOHO_\w*(?:ID|SECRET|TOKEN|REGION|URL)",
    "security.mfa.off": "REQUIRE_MFA",
    "security.keys.weak": "ENABLE_RATE_LIMITING|SESSION_TIMEOUT",
}
_DISK = ("host.disk.", "host.inodes.high")
_DOWN = ("app.service.missing", "app.service.down", "app.port.conflict", "app.port.closed")
#: So many error lines of a kind that nothing explains are a separate fault.
_MANY_LINES = 10
_SYSTEM_DIRECTORIES = ("/", "/var", "/var/lib", "/var/lib/postgresql", "/var/log", "/home")
_WITH_JOURNAL = ("/", "/var", "/var/log", "/var/log/journal", "/run", "/run/log")


def waits(_effect, cause):
    """Whether what cannot be reached keeps its client waiting: a refusal comes at once."""
    return cause["evidence"].get("error_kind") in ("timeout", "hung", "dns", "unreachable")


def answers_nothing(effect, _cause):
    return effect["evidence"].get("kind") == "timeout"


def starts_or_waits(effect, cause):
    return effect["evidence"].get("starting") or waits(effect, cause)


def timed_out(_effect, cause):
    return "time" in str(cause["evidence"].get("reported", "")).lower()


def severe(_effect, cause):
    return cause["status"] == "fail"


def in_whole_memory(effect, _cause):
    return effect["evidence"].get("scope") == "machine"


def full(_effect, cause):
    return (cause["value"] or 0) >= 99


def full_for_server(effect, cause):
    """Whether a server that has run out of space had it on a disk that is full still."""
    return full(effect, cause) or reason_code(effect) == "disk_full"


def locks_table(_effect, cause):
    return reason_code(cause) == "locks"


def cannot_save(effect, _cause):
    return reason_code(effect) == "save"


def readonly_system(_effect, cause):
    return any(path in _SYSTEM_DIRECTORIES for path in cause["evidence"].get("filesystems", ()))


def workers_loop(_effect, cause):
    return cause["evidence"].get("worker_deaths", 0) >= 3


def refused_files(_effect, cause):
    return cause["evidence"].get("refused", 0) > 0


def server_error(effect, _cause):
    return any(status >= 500 for status in effect["evidence"].get("statuses", ()))


def not_called_good(effect, cause):
    """Whether the app itself does not call the cause's component good."""
    states = effect["evidence"].get("dependencies") or {}
    said = health_body.judge(states.get(cause["component"]))[0]
    return said not in (health_body.GOOD, health_body.WARN)


def by_name(effect, _cause):
    """Whether the service was not reached since its name was not resolved."""
    return (
        effect["evidence"].get("error_kind") == "dns" or effect["evidence"].get("phase") == "name"
    )


def probed(effect, _cause):
    return "target" in effect["evidence"]


def not_probed(effect, cause):
    return not probed(effect, cause)


def listens_elsewhere(effect, _cause):
    return "blocked" not in effect["evidence"] and effect["confidence"] == "measured"


def unexplained(effect, _cause):
    """Whether a unit is down and neither an operator nor its log says why."""
    reasons = effect["evidence"].get("reasons") or ()
    if effect["evidence"].get("stopped") or any(map(_rules_of_kind, reasons)):
        return False
    return reason_code(effect) not in _SELF_EXPLAINED


#: A unit that failed for one of these says itself why: nothing else on the host is the cause.
_SELF_EXPLAINED = ("condition", "dependency", "command", "variable", "exception")


def of_failed_start(effect, cause):
    """Whether exceptions are those that a unit fails to start with."""
    code, _colon, name = (cause["reason"] or "").partition(":")
    types = {
        str(group.get("type")).rpartition(".")[2] for group in effect["evidence"].get("groups", ())
    }
    if code == "variable":
        return types == {"ValidationError"}
    return code == "exception" and types == {name}


def without_known_kind(effect, _cause):
    return not set(effect["evidence"].get("kinds") or ()) - {"other"}


def says_why(effect, cause):
    """Whether what could not be measured was not for the same reason, word for word."""
    why = cause["summary"].partition(": ")[2]
    return bool(why) and why in effect["summary"]


def lost_lines(effect, cause):
    """Whether lines of the window are gone, and the disk that has the journal is nearly full:
    journald removes the oldest then, long before the end of the disk.
    """
    path = (cause["evidence"].get("filesystem") or {}).get("path")
    return effect["reason"] in ("gap:logs.journal", "gap:logs.window") and path in _WITH_JOURNAL


def floods(effect, cause):
    """Whether lines were lost among all the refusals that an app logs which may open no more
    files.
    """
    return refused_files(effect, cause) and str(effect["reason"]).startswith("gap:logs.")


def of_event(name):
    """Return a condition: the lines are of the event of this name."""

    def is_event(effect, _cause):
        return effect["reason"] == name

    return is_event


def names(prefix):
    """Return a condition: a missing variable explains only what it is for."""

    def names_variable(_effect, cause):
        return any(str(name).startswith(prefix) for name in cause["evidence"].get("variables", ()))

    return names_variable


def says_otherwise(effect, cause):
    """Whether one of the variables that wait for a restart decides the finding."""
    names = cause["evidence"].get("variables", ())
    return any(re.fullmatch(_CHANGED_BY[effect["id"]], str(name)) for name in names)


def _overlap(effect, cause):
    """Whether two findings name the same variable."""
    named = [
        {str(name).partition(" ")[0] for name in item["evidence"].get("variables") or ()}
        for item in (effect, cause)
    ]
    return bool(named[0] & named[1])


def _exhausted(kind):
    return (
        Rule(kind, ("db.connections.exhausted",)),
        Rule(kind, ("app.pool.exhausted",)),
        Rule(kind, _DATABASE),
    )


#: What explains a kind of problem in the log. The effect is the kind, not an id.
KINDS = causes.by_effect(
    Rule("port", ("app.port.conflict",)),
    Rule("import", ("app.import.error",)),
    Rule("environment", ("app.env.",)),
    Rule("database", _DATABASE),
    Rule("database.auth", ("db.auth.failed", *_DATABASE)),
    Rule("database.missing", ("db.missing", *_DATABASE)),
    Rule(
        "database.timeout",
        ("db.queries.", "db.locks.", "db.index.", "db.connections.exhausted"),
    ),
    Rule("database.timeout", ("db.unreachable",), waits),
    Rule("database.timeout", ("db.transactions.prepared",), locks_table),
    *_exhausted("database.exhausted"),
    *_exhausted("database.pool"),
    Rule("redis", ("redis.",)),
    Rule("cognee", ("cognee.",)),
    Rule("zoho", ("zoho.",)),
    Rule("files", ("app.files.exhausted",)),
    Rule("memory", ("app.oom.killed", "host.memory.high")),
    Rule("disk", _DISK),
)


def _rules_of_kind(kind):
    return KINDS.get(kind) or KINDS.get(kind.partition(".")[0], ())


def _explaining(kind, findings):
    """Return the ids of the bad findings that explain a kind of problem in the log."""
    found = causes.explanations(_rules_of_kind(kind), {"id": kind, "evidence": {}}, findings)
    return [item["id"] for item in found]


def by_reasons(effect, findings):
    """Select what explains the first of the reasons in a unit's log that anything explains."""
    if effect["evidence"].get("stopped"):
        return ()
    explained = (_explaining(kind, findings) for kind in effect["evidence"].get("reasons") or ())
    return next(filter(None, explained), ())


def by_all_kinds(effect, findings):
    """Select what explains the commonest kind of exception, if every kind is explained."""
    kinds = effect["evidence"].get("kinds") or {"other": 1}
    explained = {kind: _explaining(kind, findings) for kind in kinds}
    return explained[max(kinds, key=kinds.get)] if all(explained.values()) else ()


def by_commonest_kind(effect, findings):
    """Select what explains the commonest kind of error line that anything explains, unless another
    kind is frequent as well.
    """
    kinds = effect["evidence"].get("kinds") or {}
    known = sorted((kind for kind in kinds if kind != "other"), key=lambda kind: -kinds[kind])
    explained = {kind: _explaining(kind, findings) for kind in known}
    if any(kinds[kind] >= _MANY_LINES for kind in known if not explained[kind]):
        return ()
    return next(filter(None, explained.values()), ())


_OF_KINDS = tuple(
    sorted({cause for rules in KINDS.values() for rule in rules for cause in rule.causes})
)


def _without_settings(effect, prefix):
    return (
        Rule(effect, ("app.env.unreadable", "app.env.unknown")),
        Rule(effect, ("app.env.missing", "app.env.invalid"), names(prefix)),
        Rule(effect, ("app.service.missing",)),
    )


#: What is read from the app's log: where that cannot be read, neither can they.
_OF_LOG = (
    "app.errors.unknown",
    "app.import.unknown",
    "app.exceptions.unknown",
    "app.events.unknown",
    "app.crash.unknown",
    "zoho.api.unknown",
    "security.access.unknown",
)
_FAILING = ("app.errors.rate", "app.exceptions", "app.service.down")

RULES = causes.by_effect(
    Rule(
        "app.service.down",
        _OF_KINDS,
        why="a unit that fails is down for what its log says, one that was stopped for nothing",
        select=by_reasons,
    ),
    Rule(
        "app.service.down",
        (
            "app.service.missing",
            "app.env.unreadable",
            "app.env.missing",
            "app.env.invalid",
            "app.port.conflict",
            "app.import.error",
            "app.env.ambiguous",
            *_DATABASE,
            "app.oom.killed",
            "app.crash.signal",
        ),
        unexplained,
    ),
    Rule("app.service.down", ("app.files.exhausted",), unexplained),
    Rule("app.service.down", ("redis.",), unexplained),
    Rule("app.service.down", ("host.disk.high", "host.inodes.high"), all_of(unexplained, full)),
    Rule("app.service.down", ("host.disk.readonly",), all_of(unexplained, readonly_system)),
    Rule("app.service.down", ("host.memory.high",), unexplained),
    Rule("app.service.restarting", ("app.oom.killed", "app.crash.signal")),
    Rule("app.service.restarting", ("app.files.exhausted",)),
    Rule("app.service.restarting", ("app.exceptions", "host.memory.high")),
    Rule(
        "app.port.closed",
        ("app.service.missing", "app.service.down", "app.import.error", "app.env."),
    ),
    Rule(
        "app.port.closed",
        (*_DATABASE, "redis.unreachable"),
        starts_or_waits,
        "an app that waits for its database does not listen yet; one that is refused ends soon",
    ),
    Rule("app.crash.signal", ("app.oom.killed",)),
    Rule("app.crash.dumps", ("app.crash.signal",)),
    Rule(
        "app.oom.killed",
        ("host.memory.high",),
        in_whole_memory,
        "a unit that met its own limit did so whatever memory the host has left",
    ),
    Rule("app.exceptions", _OF_KINDS, select=by_all_kinds),
    Rule("app.exceptions", ("app.service.down",), of_failed_start),
    Rule("app.errors.rate", ("app.service.down",), without_known_kind),
    Rule("app.errors.rate", _OF_KINDS, select=by_commonest_kind),
    Rule(
        "app.errors.rate",
        (
            "app.exceptions",
            *_DATABASE,
            "app.files.exhausted",
            "app.tasks.exhausted",
            "app.pool.exhausted",
            "app.crash.signal",
            "app.oom.killed",
        ),
        without_known_kind,
    ),
    Rule("app.connections.high", ("app.files.exhausted",)),
    Rule(
        "app.connections.high",
        ("api.health.unreachable", "api.latency.high", "security.bruteforce"),
    ),
    Rule("api.health.unreachable", _DOWN),
    Rule("api.health.unreachable", ("app.files.exhausted",)),
    Rule(
        "api.health.unreachable",
        ("db.unreachable", "redis.unreachable"),
        all_of(answers_nothing, waits),
        "an app that accepts and does not answer may wait; one that refuses does not run",
    ),
    Rule("api.health.unreachable", ("app.service.restarting",)),
    Rule("api.health.invalid", _DOWN),
    Rule("api.health.failing", _DOWN),
    Rule(
        "api.health.failing",
        _DATABASE,
        server_error,
        "a page that is not there has nothing to do with a database, an error of the server has",
    ),
    Rule("api.health.failing", ("app.files.exhausted",), server_error),
    Rule("api.health.failing", ("app.exceptions",), server_error),
    Rule(
        "api.health.degraded",
        ("app.port.conflict", *_DATABASE, "redis.", "zoho.", "cognee."),
        not_called_good,
    ),
    Rule("api.health.degraded", ("app.files.exhausted",)),
    Rule(
        "api.latency.high",
        (
            *_DOWN,
            "api.health.unreachable",
            "db.queries.slow",
            "db.locks.blocked",
            "db.connections.exhausted",
        ),
    ),
    Rule("api.latency.high", ("db.unreachable", "redis.unreachable"), waits),
    Rule("api.latency.high", ("db.transactions.prepared",), locks_table),
    Rule("api.latency.high", ("cognee.down",), timed_out),
    Rule("api.latency.high", ("app.files.exhausted",)),
    Rule(
        "api.latency.high",
        ("host.load.high", "host.iowait.high"),
        severe,
        "twice the work of the processors doubles a time, it makes no seconds of milliseconds",
    ),
    Rule(
        "lb.health.failing",
        (
            *_DOWN,
            "api.health.unreachable",
            "api.health.failing",
            "api.health.degraded",
            "api.health.invalid",
            "api.latency.high",
        ),
        probed,
        "a health check that fails is a matter of the app, a start that takes long of the host",
    ),
    Rule("lb.health.failing", ("host.load.high", "host.iowait.high"), all_of(not_probed, severe)),
    Rule(
        "lb.blocked",
        ("app.port.conflict",),
        listens_elsewhere,
        "what holds the port may listen elsewhere; a firewall's rule is a separate fault",
    ),
    Rule("db.connections.exhausted", ("app.pool.exhausted",)),
    Rule("db.unreachable", _SETTINGS, names("DATABASE_")),
    Rule("db.unreachable", ("host.disk.high", "host.inodes.high"), full_for_server),
    Rule("db.unreachable", ("host.disk.readonly",), readonly_system),
    Rule("db.auth.failed", _SETTINGS, names("DATABASE_")),
    Rule("db.missing", _SETTINGS, names("DATABASE_")),
    Rule("redis.unreachable", _SETTINGS, names("REDIS_")),
    Rule("redis.auth.failed", _SETTINGS, names("REDIS_")),
    Rule("redis.writes.refused", _DISK, cannot_save),
    Rule("zoho.token.invalid", _SETTINGS, names("ZOHO_")),
    Rule("zoho.circuit.open", ("zoho.rate_limited", "zoho.token.invalid", "zoho.token.unknown")),
    Rule("host.swap.high", ("host.memory.high",)),
    Rule("host.iowait.high", ("host.swap.high", "host.memory.high")),
    Rule(
        "host.cpu.high",
        ("app.service.down",),
        workers_loop,
        "workers that die are replaced at once, a unit waits before it restarts",
    ),
    Rule(
        "host.cpu.high",
        ("app.files.exhausted",),
        refused_files,
        "an event loop that may open no more files tries, and logs, for each connection that waits",
    ),
    Rule("host.load.high", ("host.cpu.high", "host.iowait.high")),
    # What the host does to its services.
    Rule("host.disk.readonly", ("host.device.errors", "host.filesystem.errors")),
    Rule("host.filesystem.errors", ("host.device.errors",)),
    Rule("host.iowait.high", ("host.device.errors", "host.mount.hung")),
    Rule("host.load.high", ("host.mount.hung", "host.device.errors")),
    Rule("host.conntrack.high", ("host.conntrack.dropped",)),
    Rule(
        "host.backlog.full", ("api.health.unreachable", "api.latency.high", "app.files.exhausted")
    ),
    Rule("app.service.down", ("app.denied", "app.tasks.refused", "host.mount.hung"), unexplained),
    Rule("app.tasks.refused", ("app.tasks.exhausted",)),
    Rule("api.health.unreachable", ("host.mount.hung",)),
    Rule("api.latency.high", ("host.mount.hung", "host.resolver.failing")),
    Rule("db.unreachable", ("host.resolver.failing",), by_name),
    Rule("redis.unreachable", ("host.resolver.failing",), by_name),
    Rule("app.errors.rate", ("host.packages.restarted",), without_known_kind),
    Rule("lb.health.failing", ("host.conntrack.dropped", "host.backlog.full")),
    Rule(
        "lb.requests.failing",
        (
            *_DOWN,
            "api.health.unreachable",
            "app.exceptions",
            "app.errors.rate",
            "lb.blocked",
            "lb.health.failing",
            *_DATABASE,
        ),
    ),
    Rule("app.events.seen", ("zoho.", *_DATABASE, *_FAILING), of_event("account_syncs")),
    Rule("app.events.seen", ("cognee.", *_FAILING), of_event("memory_queries")),
    Rule(
        "app.events.seen",
        ("zoho.", "cognee.", "redis.", *_DATABASE, *_FAILING),
        of_event("agent_sessions"),
    ),
    # What could not be measured because something else fails.
    *(Rule(effect, ("app.files.exhausted",), floods) for effect in ("app.oom.unknown", *_OF_LOG)),
    *(Rule(effect, ("app.oom.unknown",), says_why) for effect in _OF_LOG),
    *(Rule(effect, ("host.disk.high",), lost_lines) for effect in ("app.oom.unknown", *_OF_LOG)),
    Rule("api.health.unknown", _DOWN),
    Rule("api.latency.unknown", (*_DOWN, "api.health.unreachable", "api.health.invalid")),
    Rule("api.latency.unknown", ("app.oom.unknown", "app.errors.unknown"), says_why),
    Rule("lb.health.unknown", _DOWN),
    *_without_settings("db.connection.unknown", "DATABASE_"),
    *_without_settings("redis.unknown", "REDIS_"),
    Rule("app.restart.pending", ("app.env.",), _overlap),
    Rule("app.restart.unknown", ("app.env.unknown", "app.env.unreadable")),
    *(Rule(effect, ("app.restart.pending",), says_otherwise) for effect in _CHANGED_BY),
    Rule("security.keys.unknown", ("app.env.unreadable",)),
    Rule("security.env.unknown", ("app.env.unreadable",)),
    Rule("security.forwarded.unknown", ("app.env.unreadable",)),
)


#: What is no fault where nothing derives from it: {id: what it is then}.
_ONLY_AS_CAUSE = {"host.packages.restarted": "host.packages.ok"}


def derive(findings):
    """Return the findings with ``cause`` set where one of them explains another."""
    derived = causes.derive(findings, RULES)
    used = {item["cause"] for item in derived}
    return [
        dict(item, id=_ONLY_AS_CAUSE[item["id"]], status="ok", reason=None, advice=None)
        if item["id"] in _ONLY_AS_CAUSE and item["id"] not in used
        else item
        for item in derived
    ]
