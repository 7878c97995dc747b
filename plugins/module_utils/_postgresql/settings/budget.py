# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who gets how much of a host's memory, where PostgreSQL is not alone. Pure: no I/O.

The amounts of the other tenants come from their configuration, not from what they happen to use
at the moment, so that the same host gets the same budget every time.
"""

from __future__ import annotations

from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import tuning, values

MB = tuning.MB
GB = tuning.GB

#: The kernel, systemd, logins and a page cache that is worth its name: a share of the memory
#: (in percent), and the least.
RESERVE_PERCENT = 10
RESERVE_LEAST_KB = 256 * MB
#: A worker of the app or of Celery, with its libraries and one request's data, where unknown.
APP_WORKER_KB = 256 * MB
CELERY_WORKER_KB = 256 * MB
#: Cognee with its embedded stores, where it is not known.
COGNEE_KB = 1 * GB
#: Redis without a maxmemory, in percent of the memory: it has no bound.
REDIS_UNBOUNDED_PERCENT = 10
#: Redis needs more than maxmemory: buffers of its clients, fragmentation, a fork that saves.
REDIS_OVERHEAD = (5, 4)
#: Where the others leave less than this share of the memory, PostgreSQL gets this share.
LEAST_SHARE_PERCENT = 15

#: PostgreSQL's line is a multiple of the first of these that is a small part of it.
ROUND_KB = (64 * MB, 16 * MB, 1 * MB)

#: Who else lives on the host. Each is None where it does not; amounts in kB.
#: redis_kb: maxmemory, 0 if there is no bound. other_kb: everything without a name here.
Tenants = namedtuple(
    "Tenants",
    "app_workers app_worker_kb celery_workers celery_worker_kb redis_kb cognee_kb other_kb"
    " reserve_kb",
)
Tenants.__new__.__defaults__ = (None,) * 8

#: One line of the budget.
Line = namedtuple("Line", "consumer kb why")

#: The lines of a host, and what is wrong with them.
#: memory_kb: what was there to give. postgresql_kb: PostgreSQL's line.
Budget = namedtuple("Budget", "memory_kb postgresql_kb lines warnings")


def any_tenant(tenants):
    """Return whether anyone but PostgreSQL lives on the host."""
    return any(
        getattr(tenants, name) is not None
        for name in ("app_workers", "celery_workers", "redis_kb", "cognee_kb", "other_kb")
    )


def share(memory_kb, tenants, service_limit_kb=None):
    """Return the budget of a host.

    Args:
        memory_kb: the memory of the host, or the limit of the control group that it is, in kB.
        tenants: who else lives there.
        service_limit_kb: the limit of the control group that PostgreSQL alone runs in, or None.
    """
    lines = [_reserve(memory_kb, tenants)] + _others(memory_kb, tenants)
    left = memory_kb - sum(line.kb for line in lines)
    warnings = []
    least = memory_kb * LEAST_SHARE_PERCENT // 100
    why = "what the others leave"
    if left < least:
        warnings.append(
            "the other tenants and the reserve take %s of %s; PostgreSQL is given %s all the same,"
            " which the memory does not have: move a tenant, or add memory"
            % (_text(memory_kb - left), _text(memory_kb), _text(least))
        )
        left, why = least, "the least it can work with: the others leave too little"
    if service_limit_kb is not None and service_limit_kb < left:
        left, why = service_limit_kb, "the limit of its control group"
    # Round numbers are easier to check, and the share of a memory that differs by a page is the
    # same.
    step = next(step for step in ROUND_KB if left >= 16 * step or step == ROUND_KB[-1])
    left = max(step, left // step * step)
    lines.insert(0, Line("postgresql", left, why))
    rest = memory_kb - sum(line.kb for line in lines)
    if rest > 0:
        lines.append(
            Line("unassigned", rest, "left by rounding or by PostgreSQL's control group limit")
        )
    return Budget(memory_kb, left, lines, warnings)


def _reserve(memory_kb, tenants):
    if tenants.reserve_kb is not None:
        return Line("reserve", tenants.reserve_kb, "as given")
    kilobytes = max(RESERVE_LEAST_KB, memory_kb * RESERVE_PERCENT // 100)
    return Line(
        "reserve",
        # Half of a very small host is not to be had for it.
        min(kilobytes, memory_kb // 4),
        "the system and its page cache: %d %%, %s at least"
        % (RESERVE_PERCENT, _text(RESERVE_LEAST_KB)),
    )


def _others(memory_kb, tenants):
    lines = []
    for name, workers, size, usual in (
        ("app", tenants.app_workers, tenants.app_worker_kb, APP_WORKER_KB),
        ("celery", tenants.celery_workers, tenants.celery_worker_kb, CELERY_WORKER_KB),
    ):
        if workers is not None:
            each = usual if size is None else size
            lines.append(
                Line(name, workers * each, "%d workers at %s each" % (workers, _text(each)))
            )
    if tenants.redis_kb is not None:
        lines.append(_redis(memory_kb, tenants.redis_kb))
    if tenants.cognee_kb is not None:
        lines.append(Line("cognee", tenants.cognee_kb, "its limit, or what it usually needs"))
    if tenants.other_kb is not None:
        lines.append(Line("other", tenants.other_kb, "everything else that runs here"))
    return lines


def _redis(memory_kb, maxmemory_kb):
    times, by = REDIS_OVERHEAD
    if maxmemory_kb:
        return Line(
            "redis",
            maxmemory_kb * times // by,
            "maxmemory %s and a quarter for its buffers and its saving" % _text(maxmemory_kb),
        )
    return Line(
        "redis",
        memory_kb * REDIS_UNBOUNDED_PERCENT // 100,
        "%d %%: it has no maxmemory; set one, or Redis may take more" % REDIS_UNBOUNDED_PERCENT,
    )


def _text(kilobytes):
    """Return an amount for a sentence: whole MB from 1 MB on."""
    if kilobytes >= MB:
        kilobytes = kilobytes // MB * MB
    return values.memory_text(kilobytes)
