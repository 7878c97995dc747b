# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings calculated for given or discovered hardware, as pg_settings returns them."""

from __future__ import annotations

from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._host import hardware
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    budget as budgets,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    cluster as clusters,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import tuning, values
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.tenants import (
    discover as discover_tenants,
)

DEFAULT_VERSION = 17

#: settings: [``tuning.Setting``]. machine: what they are for. budget: line by line, empty for a
#: dedicated machine. about: sentences for the top of the owned file.
Calculation = namedtuple("Calculation", "settings machine shared budget uses warnings about")

#: Options of the module that are amounts of memory, by the field of ``budget.Tenants``.
_TENANT_MEMORY = {
    "app_worker_kb": "app_worker_memory",
    "celery_worker_kb": "celery_worker_memory",
    "redis_kb": "redis_maxmemory",
    "cognee_kb": "cognee_memory",
    "other_kb": "other_memory",
    "reserve_kb": "reserve",
}


def calculate(params, cluster, control_data, pid):
    """Return the ``Calculation``.

    Args:
        params: the options of pg_settings.
        cluster: the ``cluster.Cluster``, or None where there is none.
        control_data: {label: value} of its pg_controldata; empty if not known.
        pid: the process id of its server, or None.

    Raises:
        ValueError: nothing can be calculated, with the reason.
    """
    found = hardware.discover(cluster.data_directory if cluster else None, pid or "self")
    tenants, tenants_from = _tenants(params, found.memory_kb)
    shared = params["shared_host"]
    if shared is None:
        shared = budgets.any_tenant(tenants)
    given = params["memory"] is not None
    total = values.memory_kb(params["memory"]) if given else found.memory_kb
    limit = None if given else found.service_limit_kb
    disk, own = found.wal_disk_kb, found.wal_disk_own
    if params["wal_disk_size"] is not None:
        disk, own = values.memory_kb(params["wal_disk_size"]), True
    segment = control_data.get("Bytes per WAL segment", "")
    machine = tuning.Machine(
        memory_kb=total,
        cpus=params["cpus"] or found.cpus,
        storage=params["storage"] or found.storage,
        workload=params["workload"],
        dataset=params["dataset"],
        connections=params["connections"],
        version=params["version"] or (cluster.version if cluster else DEFAULT_VERSION),
        wal_disk_kb=disk,
        wal_disk_own=own,
        segment_kb=int(segment) // 1024 if segment.isdigit() else 16 * tuning.MB,
    )
    evidence = {
        "memory": "given" if given else found.evidence["memory"],
        "cpus": "given" if params["cpus"] else found.evidence["cpus"],
        "storage": "given" if params["storage"] else found.evidence["storage"],
    }
    if shared:
        evidence.update(tenants_from)
        return _shared(machine, total, limit, tenants, control_data, evidence)
    if limit is not None and limit < total:
        machine = machine._replace(memory_kb=limit)
        evidence["memory"] = "the limit of PostgreSQL's own control group"
    return _dedicated(machine, evidence)


def _tenants(params, memory_kb):
    """Return (``budget.Tenants`` as discovered and as given, where each is from)."""
    tenants, evidence = discover_tenants(params["env_file"], memory_kb)
    options = params["tenants"] or {}
    changes = {
        name: options[name]
        for name in ("app_workers", "celery_workers")
        if options.get(name) is not None
    }
    for field, option in _TENANT_MEMORY.items():
        if options.get(option) is not None:
            changes[field] = 0 if str(options[option]) == "0" else values.memory_kb(options[option])
    evidence.update(dict.fromkeys(changes, "given"))
    return tenants._replace(**changes), evidence


def _dedicated(machine, evidence):
    settings = tuning.dedicated(machine)
    warnings = []
    limit = tuning.wal_limit_kb(machine)
    most = next(values.memory_kb(s.value) for s in settings if s.name == "max_wal_size")
    if limit is not None and most > limit:
        warnings.append(
            "max_wal_size %s is more than the disk of the WAL should hold of it (%s): with"
            " shared_host it is bounded"
            % (values.memory_text(most), values.memory_text(limit // 1024 * 1024))
        )
    return Calculation(
        settings,
        _machine(machine, machine.memory_kb, evidence, settings),
        False,
        [],
        [],
        warnings,
        _about(machine, machine.memory_kb, []),
    )


def _shared(machine, total, limit, tenants, control_data, evidence):
    budget = budgets.share(total, tenants, limit)
    machine = machine._replace(memory_kb=budget.postgresql_kb)
    now = control_data.get("max_connections setting", "")
    # The app's pools may rely on what the server has: only a person takes connections away.
    least = max(tuning.LEAST_CONNECTIONS, int(now) if now.isdigit() else 0)
    settings, uses, warnings = tuning.shared(machine, least)
    lines = [
        {"consumer": line.consumer, "memory": _text(line.kb), "kb": line.kb, "why": line.why}
        for line in budget.lines
    ]
    inside = [
        {"use": use.name, "memory": _text(use.kb), "kb": use.kb, "why": use.why} for use in uses
    ]
    return Calculation(
        settings,
        _machine(machine, total, evidence, settings),
        True,
        lines,
        inside,
        budget.warnings + warnings,
        _about(machine, total, budget.lines),
    )


def _machine(machine, total, evidence, settings):
    return {
        "memory": _text(total),
        "memory_kb": total,
        "postgresql_memory_kb": machine.memory_kb,
        "cpus": machine.cpus,
        "storage": machine.storage,
        "workload": machine.workload,
        "dataset": machine.dataset,
        "connections": next(s.value for s in settings if s.name == "max_connections"),
        "version": machine.version,
        "wal_disk_kb": machine.wal_disk_kb,
        "wal_disk_own": machine.wal_disk_own,
        "evidence": evidence,
    }


def _about(machine, total, lines):
    about = [
        "For %s of memory, %d CPUs, %s storage, the workload %s, a data set of %s, PostgreSQL %d."
        % (
            _text(total),
            machine.cpus,
            machine.storage,
            machine.workload,
            {"less_ram": "less than the memory", "mid_ram": "about the memory"}.get(
                machine.dataset, "more than the memory"
            ),
            machine.version,
        )
    ]
    if lines:
        about.append(
            "The host's memory: %s."
            % ", ".join("%s %s" % (line.consumer, _text(line.kb)) for line in lines)
        )
    return about


def _text(kilobytes):
    return values.memory_text(kilobytes // 1024 * 1024 if kilobytes >= 1024 else kilobytes)


def for_this_server(settings, refusals, io_uring):
    """Return (settings a server takes, warnings), where its build or kernel does not have what is
    calculated.

    Args:
        settings: [``tuning.Setting``].
        refusals: function of {name: value} that returns the server's refusals.
        io_uring: whether the kernel lets PostgreSQL use it.
    """
    found, warnings = [], []
    for setting in settings:
        if (
            setting.name == "wal_compression"
            and setting.value == "lz4"
            and refusals({"wal_compression": "lz4"})
        ):
            setting = setting._replace(
                value="on", why="full pages in WAL are compressed; this build has no lz4"
            )
        if setting.name == "io_method" and (not io_uring or refusals({"io_method": setting.value})):
            warnings.append(
                "io_method is worker: this build or kernel has no io_uring for PostgreSQL"
            )
            setting = setting._replace(
                value="worker", why="asynchronous reads by processes: no io_uring here"
            )
        found.append(setting)
    return found, warnings


def kernel_has_io_uring(host=None):
    """Return whether processes without privileges may use io_uring."""
    text = (host or hardware.Host()).read("/proc/sys/kernel/io_uring_disabled")
    return text is None or text.strip() == "0"


def locate_for_calculation(params, deadline):
    """Return the cluster to take version and disks from, or None where there is none or no single
    one.
    """
    # The version may be one that is not here yet.
    for version in (params["version"], None):
        try:
            return clusters.locate(
                version,
                params["cluster"],
                params["login_port"],
                params["data_directory"],
                params["service"],
                deadline,
            )
        except clusters.ClusterError:
            continue
    return None
