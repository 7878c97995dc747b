# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of PostgreSQL for a machine: numbers in, numbers and their reasons out. No I/O.

Amounts of memory are whole kilobytes of 1024 bytes, divisions round down.

`dedicated` gives what pgtune gives (its formulas as of July 2026) for a machine that does nothing
but run PostgreSQL. `shared` is for a machine with other tenants: it starts from the memory that
`pg_budget` leaves to PostgreSQL, and keeps the sum of what the settings can use within it.
"""

from __future__ import annotations

from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import values

OLDEST_VERSION = 13
NEWEST_VERSION = 18
WORKLOADS = ("web", "oltp", "dw", "desktop", "mixed")
STORAGES = ("hdd", "ssd", "san", "nvme")
DATASETS = ("less_ram", "mid_ram", "greater_ram")

MB = 1024
GB = 1024 * MB

#: max_worker_processes and autovacuum_max_workers where no file sets them.
DEFAULT_WORKER_PROCESSES = 8
DEFAULT_AUTOVACUUM_WORKERS = 3

#: What one session takes beside its sorts and hashes: the process, its caches of the catalogue.
SESSION_KB = 2 * MB
#: The least work_mem that `shared` gives before it says that the connections do not fit.
LEAST_WORK_MEM_KB = 1 * MB
#: The least it gives where it may choose the number of connections: PostgreSQL's own default.
USUAL_WORK_MEM_KB = 4 * MB
#: Fewer connections than this serve no app.
LEAST_CONNECTIONS = 20
#: Sorts and hashes that a busy session is taken to hold at a time (pgtune's number).
NODES_PER_SESSION = 3
#: The share of the filesystem that WAL may take: of a separate one, and of that of the data.
OWN_DISK_SHARE = (60, 100)
DATA_DISK_SHARE = (20, 100)

#: What is calculated for.
#: memory_kb: what PostgreSQL may count on. connections: None for the workload's number.
#: wal_disk_kb: size of the filesystem that holds pg_wal, or None; wal_disk_own: it holds no data.
#: segment_kb: size of a WAL segment.
Machine = namedtuple(
    "Machine",
    "memory_kb cpus storage workload dataset connections version wal_disk_kb wal_disk_own"
    " segment_kb",
)
Machine.__new__.__defaults__ = (None, 17, None, False, 16 * MB)

#: One setting: its value as a configuration file has it (memory as text with a unit, else a
#: number or a word) and why it has it.
Setting = namedtuple("Setting", "name value why")

#: One line of what PostgreSQL's share of the memory is for.
Use = namedtuple("Use", "name kb why")

_Workload = namedtuple(
    "_Workload",
    "connections buffers cache maintenance min_wal max_wal statistics work_mem jit",
)
_BY_WORKLOAD = {
    # sessions, divisors of memory (buffers, maintenance) and share of it (cache), WAL, ...
    "web": _Workload(200, 4, (3, 4), 16, 1 * GB, 4 * GB, 100, 1, "off"),
    "oltp": _Workload(300, 4, (3, 4), 16, 2 * GB, 8 * GB, 100, 1, "off"),
    "dw": _Workload(40, 4, (3, 4), 8, 4 * GB, 16 * GB, 500, 2, None),
    "desktop": _Workload(20, 16, (1, 4), 16, 100 * MB, 2 * GB, 100, 6, None),
    "mixed": _Workload(100, 4, (3, 4), 16, 1 * GB, 4 * GB, 100, 2, "off"),
}
_IO_CONCURRENCY = {"hdd": 2, "ssd": 200, "san": 300, "nvme": 1000}
_DATASET_FACTOR = {"less_ram": (13, 10), "mid_ram": (1, 1), "greater_ram": (9, 10)}


def check(machine):
    """Refuse a machine that nothing can be calculated for.

    Raises:
        ValueError: says which figure is impossible, and what is possible.
    """
    for name, known in (("storage", STORAGES), ("workload", WORKLOADS), ("dataset", DATASETS)):
        if getattr(machine, name) not in known:
            raise InvalidValue(
                "%s must be one of %s, not %s" % (name, ", ".join(known), getattr(machine, name))
            )
    if machine.version < OLDEST_VERSION:
        raise InvalidValue(
            "PostgreSQL %d is not supported: %d is the oldest that settings are calculated for"
            % (machine.version, OLDEST_VERSION)
        )
    if machine.cpus < 1:
        raise InvalidValue("a machine has at least 1 CPU, not %d" % machine.cpus)
    if machine.memory_kb < 64 * MB:
        raise InvalidValue(
            "%s of memory is too little to tune PostgreSQL for: 64MB is the least"
            % values.memory_text(machine.memory_kb)
        )
    if machine.connections is not None and not 1 <= machine.connections <= 262143:
        raise InvalidValue("connections must be 1 to 262143, not %d" % machine.connections)


def connections(machine):
    """Return the number of connections: the one given, or the workload's."""
    return machine.connections or _BY_WORKLOAD[machine.workload].connections


def shared_buffers_kb(machine):
    """Return shared_buffers in kB: a quarter of the memory, a sixteenth for a desktop."""
    return machine.memory_kb // _BY_WORKLOAD[machine.workload].buffers


def maintenance_work_mem_kb(machine):
    """Return maintenance_work_mem in kB: a sixteenth of the memory, an eighth for dw, at most 8
    GB.
    """
    return min(8 * GB, machine.memory_kb // _BY_WORKLOAD[machine.workload].maintenance)


def wal_buffers_kb(buffers_kb):
    """Return wal_buffers in kB for shared_buffers in kB: 3 % of it, 32 kB to 16 MB (one
    segment).
    """
    wal = min(16 * MB, 3 * buffers_kb // 100)
    # Nearly a segment: the round number.
    if 14 * MB < wal < 16 * MB:
        wal = 16 * MB
    return max(32, wal)


def work_mem_kb(machine, free_kb, workers, least_kb):
    """Return work_mem in kB.

    Args:
        free_kb: memory for sorts and hashes of all sessions, kB.
        workers: background workers that may sort beside the sessions.
        least_kb: never less than this, kB.
    """
    divisor = _BY_WORKLOAD[machine.workload].work_mem
    processes = (connections(machine) + workers) * NODES_PER_SESSION
    times, by = _DATASET_FACTOR[machine.dataset]
    return max(least_kb, free_kb // processes // divisor * times // by)


def worker_processes(machine):
    """Return max_worker_processes, or None where PostgreSQL's default does."""
    return machine.cpus if machine.cpus >= 4 else None


def autovacuum_workers(machine):
    """Return autovacuum_max_workers, or None where PostgreSQL's default does."""
    if machine.cpus >= 32:
        return 5
    return 4 if machine.cpus >= 16 else None


def dedicated(machine):
    """Return the settings for a machine that runs nothing but PostgreSQL: pgtune's.

    Raises:
        ValueError: nothing can be calculated for such a machine.
    """
    check(machine)
    buffers = shared_buffers_kb(machine)
    maintenance = maintenance_work_mem_kb(machine)
    workers = worker_processes(machine)
    work_mem = work_mem_kb(
        machine, machine.memory_kb - buffers, workers or DEFAULT_WORKER_PROCESSES, 4 * MB
    )
    load = _BY_WORKLOAD[machine.workload]
    autovacuum = None
    if maintenance >= 2 * GB:
        autovacuum = 2 * GB
    return _settings(
        machine, buffers, maintenance, autovacuum, work_mem, workers, load.min_wal, load.max_wal
    )


def _fitting(machine, fixed_kb, workers, work_mem):
    """Return how many connections fit beside what is taken already, with so much work_mem each."""
    return (machine.memory_kb - fixed_kb) // (SESSION_KB + NODES_PER_SESSION * work_mem) - workers


def shared(machine, least_connections=LEAST_CONNECTIONS):
    """Return (settings, uses, warnings) for a machine where PostgreSQL has a share of the memory.

    `machine.memory_kb` is that share. The uses add up to it at most, unless the warnings say
    that the connections do not fit. Where the connections are not given, they are the workload's
    if so many fit, else as many as do.

    Args:
        least_connections: never fewer than this, unless they are given.

    Raises:
        ValueError: nothing can be calculated for such a machine.
    """
    check(machine)
    workers = worker_processes(machine)
    if workers is not None:
        # Fewer than PostgreSQL's own default would take away what works without tuning.
        workers = max(DEFAULT_WORKER_PROCESSES, workers)
    helpers = workers or DEFAULT_WORKER_PROCESSES
    vacuums = autovacuum_workers(machine) or DEFAULT_AUTOVACUUM_WORKERS
    buffers = shared_buffers_kb(machine)
    # One CREATE INDEX at a time, and as much again for all autovacuum workers together.
    maintenance = min(2 * GB, maintenance_work_mem_kb(machine))
    autovacuum = max(1 * MB, maintenance // vacuums // MB * MB)
    uses = [
        Use("shared_buffers", buffers, "PostgreSQL's own cache, shared by all sessions"),
        Use("wal_buffers", wal_buffers_kb(buffers), "WAL that is not written yet"),
        Use("maintenance", maintenance, "one CREATE INDEX or VACUUM by hand"),
        Use(
            "autovacuum",
            autovacuum * vacuums,
            "%d workers at %s each" % (vacuums, values.memory_text(autovacuum)),
        ),
    ]
    fixed = sum(use.kb for use in uses)
    why = None
    if machine.connections is None:
        fit = _fitting(machine, fixed, helpers, USUAL_WORK_MEM_KB)
        count = max(least_connections, min(connections(machine), fit))
        if count != connections(machine):
            why = "as many as the memory holds, and no fewer than %d" % least_connections
            machine = machine._replace(connections=count)
    count = connections(machine)
    processes = count + helpers
    uses.append(
        Use(
            "sessions",
            SESSION_KB * processes,
            "%d connections and %d workers at %s each, before they sort anything"
            % (count, helpers, values.memory_text(SESSION_KB)),
        )
    )
    free = max(0, machine.memory_kb - sum(use.kb for use in uses))
    # The data set's factor may need more than is free: the budget is the limit.
    work_mem = min(
        work_mem_kb(machine, free, helpers, LEAST_WORK_MEM_KB),
        max(LEAST_WORK_MEM_KB, free // (processes * NODES_PER_SESSION)),
    )
    uses.append(
        Use(
            "sorts",
            work_mem * processes * NODES_PER_SESSION,
            "%d processes with %d sorts or hashes of %s each"
            % (processes, NODES_PER_SESSION, values.memory_text(work_mem)),
        )
    )
    warnings = []
    need = sum(use.kb for use in uses)
    if need > machine.memory_kb:
        fit = max(0, _fitting(machine, fixed, helpers, LEAST_WORK_MEM_KB))
        warnings.append(
            "%d connections need up to %s and PostgreSQL's share is %s: %d would fit;"
            " lower connections (a pooler in front lets the app keep its own), or add memory"
            % (
                count,
                values.memory_text(need // MB * MB),
                values.memory_text(machine.memory_kb // MB * MB),
                fit,
            )
        )
    least_wal, most_wal = _wal_sizes(machine, _BY_WORKLOAD[machine.workload])
    settings = _settings(
        machine, buffers, maintenance, autovacuum, work_mem, workers, least_wal, most_wal, why
    )
    return settings, uses, warnings


def wal_limit_kb(machine):
    """Return the most WAL the disk should hold between checkpoints, kB, or None if not known."""
    if machine.wal_disk_kb is None:
        return None
    times, by = OWN_DISK_SHARE if machine.wal_disk_own else DATA_DISK_SHARE
    return machine.wal_disk_kb * times // by


def _wal_sizes(machine, load):
    """Return (min_wal_size, max_wal_size) in kB, within the WAL disk and of whole megabytes."""
    limit = wal_limit_kb(machine)
    if limit is None or limit >= load.max_wal:
        return load.min_wal, load.max_wal
    # PostgreSQL does not start with less than two segments for either.
    floor = 2 * machine.segment_kb
    most = max(floor, limit // MB * MB)
    return max(floor, min(load.min_wal, most // 4 // MB * MB)), most


def _settings(
    machine,
    buffers,
    maintenance,
    autovacuum,
    work_mem,
    workers,
    least_wal,
    most_wal,
    why_connections=None,
):
    load = _BY_WORKLOAD[machine.workload]
    text = values.memory_text
    memory = text(machine.memory_kb)
    times, by = load.cache
    given = "usual for the workload %s" % machine.workload
    if machine.connections:
        given = why_connections or "as given"
    rows = [
        ("max_connections", connections(machine), given),
        (
            "shared_buffers",
            text(buffers),
            "1/%d of %s for PostgreSQL's own cache" % (load.buffers, memory),
        ),
        (
            "effective_cache_size",
            text(machine.memory_kb * times // by),
            "%d/%d of %s: what the planner may take to be cached, by the system too"
            % (times, by, memory),
        ),
        (
            "maintenance_work_mem",
            text(maintenance),
            "1/%d of %s, within bounds, for each CREATE INDEX or VACUUM"
            % (load.maintenance, memory),
        ),
        (
            "checkpoint_completion_target",
            0.9,
            "checkpoints are spread over most of the time there is",
        ),
        ("wal_buffers", text(wal_buffers_kb(buffers)), "3 % of shared_buffers, a segment at most"),
        (
            "default_statistics_target",
            load.statistics,
            "detail of the planner's statistics for the workload %s" % machine.workload,
        ),
        ("random_page_cost", *_random_page_cost(machine)),
        (
            "effective_io_concurrency",
            _IO_CONCURRENCY[machine.storage],
            "requests that %s storage serves at a time" % machine.storage,
        ),
        (
            "work_mem",
            text(work_mem),
            "for each sort or hash: the memory left, among %d connections and their workers"
            % connections(machine),
        ),
        (
            "huge_pages",
            "try" if buffers >= 2 * GB else "off",
            "worth it from 2 GB of shared_buffers",
        ),
        ("min_wal_size", text(least_wal), "WAL kept for reuse"),
        ("max_wal_size", text(most_wal), _wal_why(machine, load, most_wal)),
    ]
    if autovacuum is not None:
        rows.append(("autovacuum_work_mem", text(autovacuum), "memory of one autovacuum worker"))
    rows += _worker_rows(machine, workers)
    rows += _version_rows(machine, load)
    return [Setting(*row) for row in rows]


def _wal_why(machine, load, most_wal):
    if most_wal >= load.max_wal:
        return "WAL between checkpoints, for the workload %s" % machine.workload
    return "WAL between checkpoints, bounded by its filesystem of %s" % values.memory_text(
        machine.wal_disk_kb // MB * MB
    )


def _random_page_cost(machine):
    if machine.dataset == "less_ram":
        return 1.1, "the data fits in memory, so that a random read costs little more"
    if machine.storage == "hdd":
        return 4, "a random read costs a seek on a disk that turns"
    if machine.workload == "dw":
        return 4, "large scans are to be preferred in a data warehouse"
    return 1.1, "a random read costs little more than the next block on %s" % machine.storage


def _worker_rows(machine, workers):
    rows = []
    vacuums = autovacuum_workers(machine)
    if vacuums is not None:
        rows.append(("autovacuum_max_workers", vacuums, "for %d CPUs" % machine.cpus))
    if workers is None:
        return rows
    half = (machine.cpus + 1) // 2
    gather = half if machine.workload == "dw" else min(4, half)
    return rows + [
        ("max_worker_processes", workers, "for %d CPUs" % machine.cpus),
        (
            "max_parallel_workers_per_gather",
            gather,
            "half of the CPUs for one query, within bounds",
        ),
        ("max_parallel_workers", machine.cpus, "no more parallel workers than CPUs"),
        ("max_parallel_maintenance_workers", min(4, half), "workers of one CREATE INDEX"),
    ]


def _version_rows(machine, load):
    rows = []
    if load.jit is not None:
        rows.append(("jit", load.jit, "compiling costs short queries more than it gives"))
    compression = "lz4" if machine.version >= 15 else "on"
    rows.append(("wal_compression", compression, "full pages in WAL are compressed"))
    if machine.version >= 18:
        rows.append(("io_method", "io_uring", "asynchronous reads by the kernel"))
    if machine.workload == "desktop":
        rows.append(("wal_level", "minimal", "a desktop has no standby and no archive"))
        rows.append(("max_wal_senders", 0, "wal_level minimal allows none"))
    return rows
