# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the app may use up: open files, tasks, and the database's connections by its own
settings.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

#: SQLAlchemy's own, where the app sets a pool size only
_DEFAULT_OVERFLOW = 10


def observe(ctx):
    """Return open files and limit of each process of the unit, its tasks, and what its settings
    allow it.
    """
    processes, hidden = unit.open_files(ctx.unit)
    return {
        "processes": processes,
        "hidden": hidden,
        "tasks": unit.number(ctx.unit, "TasksCurrent"),
        "tasks_max": unit.number(ctx.unit, "TasksMax"),
        "pool": pool(ctx.settings, unit.workers(ctx.unit)),
    }


def pool(settings, workers):
    """Return how many connections the settings allow the app at most, None where they do not say.

    That is workers × (pool size + overflow): each worker has its own pool.

    Args:
        settings: {name: value} the app runs with.
        workers: those on the unit's command line, or None.
    """
    size = _whole(settings.get("DATABASE_POOL_SIZE"))
    if size is None:
        return None
    overflow = _whole(settings.get("DATABASE_MAX_OVERFLOW"))
    count = (
        workers or _whole(settings.get("WORKERS")) or _whole(settings.get("WEB_CONCURRENCY")) or 1
    )
    used = _DEFAULT_OVERFLOW if overflow is None else overflow
    return {
        "workers": count,
        "pool_size": size,
        "max_overflow": used,
        "assumed_overflow": overflow is None,
        "celery_workers": _whole(settings.get("CELERY_WORKER_CONCURRENCY")) or 0,
        "connections": count * (size + used),
    }


def _whole(text):
    found = re.match(r"\s*(\d{1,6})\s*(?:#.*)?$", text or "")
    return int(found.group(1)) if found else None


def decide(ctx, limits, logs=None, database=None):
    """Return what the app has used up, or will by its settings: a finding each for its open files,
    its tasks and its pool, where that is measured.
    """
    findings = [
        item
        for item in (
            _files(ctx, limits, logs) or _hidden(limits),
            _tasks(ctx, limits),
            _pool(ctx, limits, database),
        )
        if item
    ]
    return findings or [_nothing(ctx)]


def _hidden(limits):
    if limits["processes"] or not limits["hidden"]:
        return None
    return finding(
        "app.files.unknown",
        "app",
        "unknown",
        "The open files of %d processes of the app cannot be counted: run with become"
        % limits["hidden"],
    )


def _nothing(ctx):
    if not ctx.unit:
        reason = (
            "Without systemd the app's processes are not known: what they use cannot be counted"
        )
        return finding("app.files.unknown", "app", "unknown", reason)
    return finding(
        "app.files.skipped",
        "app",
        "skipped",
        "The app does not run: it uses no files and no tasks",
    )


def _use(resource, status, summary, value, warn, fail, evidence, remedy, advice):
    good = status == "ok"
    return finding(
        "app.%s.%s" % (resource, "ok" if good else "exhausted"),
        "app",
        status,
        summary,
        value=round(value, 1),
        unit="%",
        warn=warn,
        fail=fail,
        evidence=evidence,
        remedy=None if good else remedy,
        advice=None if good else advice,
    )


def _files(ctx, limits, logs):
    warn, fail, _unit = ctx.thresholds["open_files_percent"]
    known = [item for item in limits["processes"] if item["limit"]]
    fullest = max(known, key=lambda item: item["open_files"] / item["limit"]) if known else None
    refused = (logs or {}).get("too_many_files")
    if refused and refused["last"] <= (current_start(ctx, logs) or 0):
        refused = None  # a run with another limit, maybe
    if fullest is None and not refused:
        return None
    percent = fullest["open_files"] * 100.0 / fullest["limit"] if fullest else 100.0
    status = "fail" if refused else grade(percent, warn, fail)
    evidence = (
        {"open_files": fullest["open_files"], "limit": fullest["limit"], "pid": fullest["pid"]}
        if fullest
        else {}
    )
    text = (
        "%(open_files)d of %(limit)d files open (pid %(pid)d)" % fullest
        if fullest
        else "The limit of open files is unknown"
    )
    text += ", from %g %% on" % warn
    if refused:
        evidence.update(
            refused=refused["count"], last=clock(refused["last"]), line=refused["sample"]
        )
        if fullest is None or grade(percent, warn, fail) == "ok":
            # Only the log shows it, the files that are open now do not.
            evidence["last_seen"] = evidence["last"]
        text += "; %d lines of the log say Too many open files, last at %s" % (
            refused["count"],
            evidence["last"],
        )
    return _use(
        "files",
        status,
        text,
        percent,
        warn,
        fail,
        evidence,
        "raise_open_files",
        "Raise LimitNOFILE of the unit, and see whether the app closes what it opens.",
    )


def current_start(ctx, logs):
    """Return when the unit's present run began, in seconds since the epoch, or None if it is not
    up.
    """
    if not unit.is_running(ctx.unit):
        return None
    return unit.since(ctx.unit, "ActiveEnterTimestamp", ctx.now)


def _tasks(ctx, limits):
    warn, fail, _unit = ctx.thresholds["open_files_percent"]
    used, most = limits["tasks"], limits["tasks_max"]
    if not used or not most:
        return None
    percent = used * 100.0 / most
    return _use(
        "tasks",
        grade(percent, warn, fail),
        "%d of %d tasks (from %g %% on)" % (used, most, warn),
        percent,
        warn,
        fail,
        {"tasks": used, "tasks_max": most},
        "tune_concurrency",
        "Lower WORKERS or MAX_CONCURRENT_ACCOUNTS, or raise TasksMax of the unit.",
    )


def _pool(ctx, limits, database):
    warn, fail, _unit = ctx.thresholds["pool_percent"]
    wanted, slots = limits["pool"], (database or {}).get("slots")
    if not wanted or not slots:
        return None
    percent = wanted["connections"] * 100.0 / slots
    # At the number of slots the pools just fit: only more than that is too much.
    status = "ok" if percent < warn else "fail" if percent > fail else "warn"
    return _use(
        "pool",
        status,
        "%d workers × (%d + %d) connections are %d, the database has %d slots (%.0f %%, from %g"
        " %% on)"
        % (
            wanted["workers"],
            wanted["pool_size"],
            wanted["max_overflow"],
            wanted["connections"],
            slots,
            percent,
            warn,
        ),
        percent,
        warn,
        fail,
        dict(wanted, slots=slots, target=database.get("target")),
        "fit_pool",
        "Lower WORKERS, DATABASE_POOL_SIZE or DATABASE_MAX_OVERFLOW, so that all pools together"
        " fit.",
    )
