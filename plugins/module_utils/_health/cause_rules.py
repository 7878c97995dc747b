# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root causes on one host: which bad finding derives from which other one.

One fault gives one root, two faults give two. So a finding derives from another one only if that
one explains it: a unit that somebody stopped is not down because of a database, and exceptions of
the app's own code are roots even while the database causes others. What is shown in the evidence
decides.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad

#: All that C(db.) means below: what keeps an app from its database, or makes it wait there. Other
#: findings on it (an index that nobody uses, a sequence near its end) are no reason for anything.
_DATABASE = (
    "db.unreachable",
    "db.auth.failed",
    "db.missing",
    "db.disk.full",
    "db.connections.exhausted",
    "db.locks.blocked",
    "db.queries.slow",
    "db.queries.running",
)

#: kind of trouble in the log: the findings that explain it, the likeliest first
KINDS = {
    "port": ("app.port.conflict",),
    "import": ("app.import.error",),
    "environment": ("app.env.",),
    "database": _DATABASE,
    "database.auth": ("db.auth.failed", "db."),
    "database.missing": ("db.missing", "db."),
    "database.timeout": (
        "db.queries.",
        "db.locks.",
        "db.index.",
        "db.connections.exhausted",
        "db.unreachable",
    ),
    "database.exhausted": ("db.connections.exhausted", "app.resources.exhausted", *_DATABASE),
    "database.pool": ("db.connections.exhausted", "app.resources.exhausted", *_DATABASE),
    "redis": ("redis.",),
    "cognee": ("cognee.",),
    "zoho": ("zoho.",),
    "files": ("app.resources.exhausted",),
    "memory": ("app.oom.killed", "host.memory.high"),
    "disk": ("host.disk.", "host.inodes.high"),
}
_START = (
    "app.service.missing",
    "app.env.unreadable",
    "app.env.missing",
    "app.port.conflict",
    "app.import.error",
    "app.env.ambiguous",
    "db.",
    "app.oom.killed",
    "app.crash.signal",
    "app.resources.exhausted",
    "redis.",
    "host.disk.",
    "host.inodes.high",
    "host.memory.high",
)
_DOWN = ("app.service.missing", "app.service.down", "app.port.conflict", "app.port.closed")
#: what is read from the journal: where it cannot be read, one of them is the root of the others
_JOURNAL = (
    "app.errors.unknown",
    "app.import.unknown",
    "app.exceptions.unknown",
    "app.oom.unknown",
    "app.crash.unknown",
    "zoho.api.unknown",
    "security.access.unknown",
)
_SETTINGS = ("app.env.unreadable", "app.env.missing", "app.service.missing")

#: finding: what it may derive from, the likeliest first; an entry that ends in a dot, all below it
CAUSES = {
    "app.service.down": _START,
    "app.service.restarting": (
        "app.oom.killed",
        "app.crash.signal",
        "app.resources.exhausted",
        "app.exceptions",
        "host.memory.high",
    ),
    "app.port.closed": (
        "app.service.missing",
        "app.service.down",
        "app.import.error",
        "app.env.",
        "db.",
    ),
    "app.crash.signal": ("app.oom.killed",),
    "app.crash.dumps": ("app.crash.signal",),
    "app.oom.killed": ("host.memory.high",),
    "app.exceptions": tuple(sorted({cause for causes in KINDS.values() for cause in causes})),
    "app.errors.rate": (
        tuple(sorted({cause for causes in KINDS.values() for cause in causes}))
        + ("app.exceptions", "app.crash.signal")
    ),
    "app.connections.high": (
        "app.resources.exhausted",
        "api.health.unreachable",
        "api.latency.high",
        "security.bruteforce",
    ),
    "api.health.unreachable": _DOWN + ("app.resources.exhausted", "db.", "app.service.restarting"),
    "api.health.invalid": _DOWN,
    "api.health.failing": _DOWN + ("db.", "app.resources.exhausted", "app.exceptions"),
    "api.health.degraded": (
        "app.port.conflict",
        "db.",
        "redis.",
        "zoho.",
        "cognee.",
        "app.resources.exhausted",
    ),
    "api.health.incomplete": ("app.port.conflict", "api.health.failing"),
    "api.latency.high": (
        _DOWN
        + (
            "api.health.unreachable",
            "db.queries.slow",
            "db.locks.blocked",
            "db.connections.exhausted",
            "db.unreachable",
            "redis.unreachable",
            "cognee.down",
            "app.resources.exhausted",
            "host.load.high",
            "host.iowait.high",
        )
    ),
    "lb.health.failing": (
        _DOWN
        + (
            "api.health.unreachable",
            "api.health.failing",
            "api.health.degraded",
            "api.health.invalid",
            "api.latency.high",
            "host.load.high",
            "host.iowait.high",
        )
    ),
    "lb.blocked": ("app.port.conflict",),
    "db.connections.exhausted": ("app.resources.exhausted",),
    "db.unreachable": ("app.env.missing", "host.disk.", "host.inodes.high"),
    "db.auth.failed": ("app.env.missing",),
    "db.missing": ("app.env.missing",),
    "redis.unreachable": ("app.env.missing",),
    "redis.auth.failed": ("app.env.missing",),
    "redis.writes.refused": ("host.disk.", "host.inodes.high"),
    "zoho.token.invalid": ("app.env.missing",),
    "zoho.circuit.open": ("zoho.rate_limited", "zoho.token.invalid", "zoho.token.unknown"),
    "host.swap.high": ("host.memory.high",),
    "host.iowait.high": ("host.swap.high", "host.memory.high"),
    "host.cpu.high": ("app.service.down", "app.resources.exhausted"),
    "host.load.high": ("host.cpu.high", "host.iowait.high"),
    # What could not be measured because something else fails.
    "app.service.unknown": (),
    "api.health.unknown": _DOWN,
    "api.latency.unknown": _DOWN + ("api.health.unreachable", "api.health.invalid"),
    "lb.health.unknown": _DOWN,
    "db.connection.unknown": _SETTINGS,
    "redis.unknown": _SETTINGS,
    **{id: _JOURNAL[:place] for place, id in enumerate(_JOURNAL)},
}


def derive(findings):
    """Return the findings with C(cause) set where one of them explains another."""
    bad = [item for item in findings if is_bad(item)]
    return [
        dict(item, cause=item["cause"] or _cause(item, bad)) if is_bad(item) else item
        for item in findings
    ]


def _cause(item, bad):
    candidates = _by_kind(item, bad) if item["id"] in _BY_KIND else CAUSES.get(item["id"], ())
    explains = _EXPLAINS.get(item["id"])
    for candidate in candidates:
        for other in bad:
            if (
                other["id"] != item["id"]
                and _is(other, candidate)
                and (explains is None or explains(item, other))
            ):
                return other["id"]
    return None


def _is(item, candidate):
    if candidate == "db.":
        return item["id"] in _DATABASE
    if candidate.endswith("."):
        # What is not known explains nothing.
        return item["id"].startswith(candidate) and item["status"] != "unknown"
    return item["id"] == candidate


def _by_kind(item, bad):
    return _BY_KIND[item["id"]](item, bad)


def _explaining(kind, bad):
    """Return the ids of the bad findings that explain a kind of trouble in the log."""
    candidates = KINDS.get(kind) or KINDS.get(kind.partition(".")[0], ())
    return [
        other["id"]
        for candidate in candidates
        for other in bad
        if _is(other, candidate) and _fits(kind, other)
    ]


def _fits(kind, other):
    if kind == "database.timeout" and other["id"] == "db.unreachable":
        return _waits(other)
    if other["id"] != "app.resources.exhausted":
        return True
    return (other["evidence"].get("resource") == "open_files") == (kind == "files")


def _service_down(item, bad):
    """A unit that was stopped is down for no other finding; one that fails, for what its log
    tells.
    """
    evidence = item["evidence"]
    if evidence.get("stopped"):
        return ()
    reasons = evidence.get("reasons") or ()
    for kind in reasons:
        explaining = _explaining(kind, bad)
        if explaining:
            return explaining
    # A log that tells of a trouble that nothing here shows (any more) rules the others out.
    if any(kind in KINDS or kind.partition(".")[0] in KINDS for kind in reasons):
        return ()
    return [
        other["id"]
        for candidate in CAUSES[item["id"]]
        for other in bad
        if _is(other, candidate) and _stops(item, other)
    ]


def _stops(item, other):
    return _open_files(item, other) and (other["component"] != "host" or _full(item, other))


def _exceptions(item, bad):
    """Exceptions derive from others only if those explain every kind of them."""
    kinds = item["evidence"].get("kinds") or {"other": 1}
    explained = {kind: _explaining(kind, bad) for kind in kinds}
    if not all(explained.values()):
        return ()
    return explained[max(kinds, key=kinds.get)]


def _errors(item, bad):
    """Error lines derive from what explains the commonest kind, unless another kind is frequent,
    too.
    """
    kinds = item["evidence"].get("kinds") or {}
    known = sorted((kind for kind in kinds if kind != "other"), key=lambda kind: -kinds[kind])
    explained = {kind: _explaining(kind, bad) for kind in known}
    if any(kinds[kind] >= _MANY_LINES for kind in known if not explained[kind]):
        return ()
    for kind in known:
        if explained[kind]:
            return explained[kind]
    return (
        ()
        if known
        else (
            "app.exceptions",
            "db.",
            "app.resources.exhausted",
            "app.crash.signal",
            "app.oom.killed",
        )
    )


#: so many error lines of a kind that nothing explains are a fault of their own
_MANY_LINES = 10
_BY_KIND = {
    "app.service.down": _service_down,
    "app.exceptions": _exceptions,
    "app.errors.rate": _errors,
}


def _names(prefix):
    """A missing variable explains only what it is for."""

    def explains(_item, other):
        if other["id"] != "app.env.missing":
            return True
        return any(
            str(variable).startswith(prefix) for variable in other["evidence"].get("variables", ())
        )

    return explains


def _degraded(item, other):
    """A dependency that the app itself calls good does not degrade it."""
    told = (item["evidence"].get("dependencies") or {}).get(other["component"])
    if told is not None and str(told).lower() in (
        "connected",
        "authenticated",
        "healthy",
        "ok",
        "up",
        "true",
    ):
        return False
    return _open_files(item, other)


def _open_files(_item, other):
    """Too many open files keep the app from answering; a pool that may grow too large does not
    yet.
    """
    return (
        other["id"] != "app.resources.exhausted"
        or other["evidence"].get("resource") == "open_files"
    )


def _waits(other):
    """Return whether a service that cannot be reached keeps its client waiting: a refusal comes at
    once.
    """
    return other["evidence"].get("told") in ("timeout", "dns", "unreachable")


def _slow(item, other):
    """Only what makes the app wait makes it slow."""
    if other["id"] in ("db.unreachable", "redis.unreachable"):
        return _waits(other)
    if other["id"] == "cognee.down":
        return "time" in str(other["evidence"].get("reported", "")).lower()
    if other["component"] == "host":
        # Twice the work of the processors doubles a time, it does not make seconds of milliseconds.
        return other["status"] == "fail"
    return _open_files(item, other)


def _silent(item, other):
    """An app that accepts and does not answer may wait for its database; one that refuses does not
    run.
    """
    if other["component"] == "database":
        return item["evidence"].get("kind") == "timeout" and _waits(other)
    return _open_files(item, other)


def _closed(item, other):
    """An app that waits for its database does not listen yet; one that is refused tries for a
    moment, and ends.
    """
    return other["component"] != "database" or item["evidence"].get("starting") or _waits(other)


def _answers_wrongly(item, other):
    """A page that is not there is no matter of a database or of exceptions, an error of the server
    is.
    """
    if other["id"] in _DOWN:
        return True
    return any(status >= 500 for status in item["evidence"].get("statuses", ())) and _open_files(
        item, other
    )


def _full(item, other):
    """A disk stops a service when nothing is left of it, or when it is its own that cannot be
    written.
    """
    if other["id"] == "app.env.missing":
        return _names("DATABASE_")(item, other)
    if other["id"] == "host.disk.readonly":
        return any(path in _SYSTEM_FOLDERS for path in other["evidence"].get("filesystems", ()))
    if other["id"] in ("host.disk.high", "host.inodes.high"):
        return (other["value"] or 0) >= 99
    return True


_SYSTEM_FOLDERS = ("/", "/var", "/var/lib", "/var/lib/postgresql", "/var/log", "/home")


def _unhealthy(item, other):
    """A start that takes long is a matter of the machine; a health check that fails is one of the
    app.
    """
    if other["component"] == "host":
        return "target" not in item["evidence"] and other["status"] == "fail"
    return "target" in item["evidence"]


def _listens_elsewhere(item, _other):
    """What holds the port may listen where no balancer comes; a firewall's rule is a fault of its
    own.
    """
    return "blocked" not in item["evidence"] and item["confidence"] == "measured"


def _app_loops(_item, other):
    """Workers that die and are replaced at once keep the processors busy; a unit waits before a
    restart.

    So does an event loop that may open no further file: it tries, and logs, for each connection
    that waits.
    """
    if other["id"] == "app.resources.exhausted":
        return (
            other["evidence"].get("resource") == "open_files"
            and other["evidence"].get("refused", 0) > 0
        )
    return other["evidence"].get("worker_deaths", 0) >= 3


def _of_machine(item, other):
    """The limit of the unit itself was met, whatever the machine has left."""
    return other["id"] != "host.memory.high" or item["evidence"].get("scope") == "machine"


_EXPLAINS = {
    "host.cpu.high": _app_loops,
    "lb.health.failing": _unhealthy,
    "lb.blocked": _listens_elsewhere,
    "api.health.degraded": _degraded,
    "api.health.failing": _answers_wrongly,
    "app.port.closed": _closed,
    "api.health.unreachable": _silent,
    "api.latency.high": _slow,
    "app.oom.killed": _of_machine,
    "app.service.restarting": _open_files,
    "app.connections.high": _open_files,
    "db.connection.unknown": _names("DATABASE_"),
    "db.unreachable": _full,
    "db.auth.failed": _names("DATABASE_"),
    "db.missing": _names("DATABASE_"),
    "redis.unknown": _names("REDIS_"),
    "redis.unreachable": _names("REDIS_"),
    "redis.auth.failed": _names("REDIS_"),
    "zoho.token.invalid": _names("ZOHO_"),
}
