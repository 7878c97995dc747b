# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of ``sergas_health``, and the probes they need. A new check is a line
here.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Check, Probe
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import coverage, reading
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import (
    api,
    attacks,
    clock,
    cpu,
    crashes,
    database,
    disks,
    environment,
    events,
    keys,
    limits,
    loadbalancer,
    logs,
    memory,
    metrics,
    network,
    ports,
    prometheus,
    redis,
    restore_points,
    service,
)
from ansible_collections.sergas.ops.plugins.module_utils._health.runner import diagnose


def _observe_kernel(ctx):
    # What explains other findings is imported where there are any: on a host that is well,
    # compiling it would take as long as a probe.
    from ansible_collections.sergas.ops.plugins.module_utils._health.probes import kernel

    return kernel.observe(ctx)


def _decide_kernel(ctx, observed):
    from ansible_collections.sergas.ops.plugins.module_utils._health.probes import kernel

    return kernel.decide(ctx, observed)


def _observe_resolver(ctx):
    from ansible_collections.sergas.ops.plugins.module_utils._health.probes import resolver

    return resolver.observe(ctx)


def _decide_resolver(ctx, observed):
    from ansible_collections.sergas.ops.plugins.module_utils._health.probes import resolver

    return resolver.decide(ctx, observed)


def _observe_packages(ctx):
    from ansible_collections.sergas.ops.plugins.module_utils._health.probes import packages

    return packages.observe(ctx)


def _decide_packages(ctx, observed):
    from ansible_collections.sergas.ops.plugins.module_utils._health.probes import packages

    return packages.decide(ctx, observed)


PROBES = {
    "service": Probe(service.observe, 5),
    "environment": Probe(environment.observe, 5, environment.ASPECTS),
    "sockets": Probe(ports.observe, 5, ("table", "owners")),
    "logs": Probe(reading.observe, 600, coverage.ASPECTS),
    "metrics": Probe(metrics.observe, 3, metrics.ASPECTS),
    "crash_dumps": Probe(crashes.observe, 5),
    "limits": Probe(limits.observe, 5),
    # A slow answer is an answer: it may take what the deadline leaves.
    "health": Probe(api.observe, 600, ("paths",)),
    "prometheus": Probe(prometheus.observe, 5, prometheus.ASPECTS),
    "database": Probe(database.observe, 8, database.ASPECTS),
    "redis": Probe(redis.observe, 5, redis.ASPECTS),
    "memory": Probe(memory.observe, 5),
    "disks": Probe(disks.observe, 5),
    "cpu": Probe(cpu.observe, 5),
    "traffic": Probe(loadbalancer.observe_traffic, 10, ("requests",)),
    "backends": Probe(loadbalancer.observe, 12),
    "firewall": Probe(loadbalancer.observe_firewall, 5, ("rules",)),
    "space": Probe(disks.observe_space, 4, (), True),
    "network": Probe(network.observe, 3),
    "kernel": Probe(_observe_kernel, 5, ("window", "source"), True),
    "last_start": Probe(service.observe_start, 4, (), True),
    "packages": Probe(_observe_packages, 3, (), True),
    "resolver": Probe(_observe_resolver, 3, (), True),
    "restore_points": Probe(restore_points.observe, 5),
}

_WONT_START = "Application Won't Start"
_CRASHES = "Application Crashes Intermittently"
_ERRORS = "High Error Rate"
_MATRIX = "Health Check Matrix"
_ATTACKS = "Unauthorized Access Attempts"
_LATENCY = "High Response Times"

#: What an ok stands on that is read from the lines of the app's log. Which lines are errors need
#: not be known where something else counts the requests that fail.
_LOG = (
    "logs.destination",
    "logs.loss",
    "logs.window",
    ("logs.lines", "metrics.requests", "prometheus.requests"),
)
_COUNTERS = ("prometheus", "metrics")
#: systemd's lines and the kernel's are in the host's own journal, wherever the unit's output goes.
_JOURNAL = ("logs.journal",)

_COUNTERS_OF_KERNEL = "the kernel has all figures, and those that are not there give no ok"

APP = ("app",)
CHECKS = {
    "service": Check(
        service.decide,
        ("service",),
        "app.service",
        "app",
        APP,
        _WONT_START,
        ("logs", "last_start"),
        complete="systemd shows all properties of a unit, or the probe fails",
    ),
    "port": Check(ports.decide_port, ("sockets",), "app.port", "app", APP, _WONT_START),
    "env": Check(
        environment.decide,
        ("environment",),
        "app.env",
        "app",
        APP,
        _WONT_START,
        ("health",),
        ("environment.sources", "environment.running"),
    ),
    "restart": Check(
        environment.decide_restart, ("environment",), "app.restart", "app", APP, _WONT_START
    ),
    "imports": Check(
        logs.decide_imports,
        ("logs",),
        "app.import",
        "app",
        APP,
        _WONT_START,
        _COUNTERS,
        stands_on=_LOG,
    ),
    "database": Check(
        database.decide,
        ("database",),
        "db.connection",
        "database",
        ("app", "postgresql"),
        _WONT_START,
    ),
    "redis": Check(redis.decide, ("redis",), "redis", "redis", ("app", "redis"), _MATRIX),
    "oom": Check(
        crashes.decide_oom, ("logs",), "app.oom", "app", APP, _CRASHES, stands_on=_JOURNAL
    ),
    "crashes": Check(
        crashes.decide,
        ("logs", "crash_dumps"),
        "app.crash",
        "app",
        APP,
        _CRASHES,
        stands_on=_JOURNAL,
    ),
    "resources": Check(
        limits.decide,
        ("limits",),
        "app.resources",
        "app",
        APP,
        _CRASHES,
        ("logs", "database"),
        complete="what may not be read of the processes is app.files.unknown",
    ),
    "exceptions": Check(
        logs.decide_exceptions,
        ("logs",),
        "app.exceptions",
        "app",
        APP,
        _CRASHES,
        _COUNTERS,
        stands_on=_LOG,
    ),
    "errors": Check(
        logs.decide_errors,
        ("logs",),
        "app.errors",
        "app",
        APP,
        _ERRORS,
        _COUNTERS,
        stands_on=_LOG,
    ),
    "events": Check(
        events.decide,
        ("logs",),
        "app.events",
        "app",
        APP,
        _ERRORS,
        _COUNTERS,
        stands_on=_LOG,
    ),
    "api": Check(
        api.decide,
        ("health",),
        "api.health",
        "api",
        APP,
        _MATRIX,
        ("logs",),
        stands_on=(),
        complete="The whole answer is read; what it does not say, the check calls unknown.",
    ),
    "latency": Check(
        api.decide_latency,
        ("health",),
        "api.latency",
        "api",
        APP,
        _LATENCY,
        ("prometheus", "logs", "metrics"),
        stands_on=("health.paths", ("logs.latency", "metrics.latency", "prometheus.latency")),
    ),
    "prometheus": Check(prometheus.decide, ("prometheus",), "app.metrics", "app", APP, _ERRORS),
    "connections": Check(
        ports.decide_connections,
        ("sockets",),
        "app.connections",
        "app",
        APP,
        "Quick Diagnostics",
        stands_on=("sockets.table",),
    ),
    "rate_limit": Check(
        logs.decide_rate_limit,
        ("logs",),
        "zoho.api",
        "zoho",
        APP,
        "Zoho API Rate Limiting",
        _COUNTERS,
        stands_on=_LOG,
    ),
    "attacks": Check(
        attacks.decide,
        ("logs",),
        "security.access",
        "security",
        APP,
        _ATTACKS,
        (*_COUNTERS, "environment", "firewall"),
        stands_on=(*_LOG, "logs.clients"),
    ),
    "forwarded": Check(
        attacks.decide_forwarded,
        ("environment",),
        "security.forwarded",
        "security",
        APP,
        _ATTACKS,
        ("sockets",),
    ),
    "keys": Check(keys.decide, ("environment",), "security.keys", "security", APP, _ATTACKS),
    "env_file": Check(
        keys.decide_file,
        ("environment",),
        "security.env",
        "security",
        APP,
        _ATTACKS,
        # What the app runs with says nothing of who may read its files.
        stands_on=("environment.sources",),
    ),
    "loadbalancer": Check(
        loadbalancer.decide,
        ("backends", "firewall"),
        "lb.health",
        "loadbalancer",
        ("app", "lb"),
        "Load Balancer Health Check Failures",
        ("logs", "sockets"),
    ),
    "traffic": Check(
        loadbalancer.decide_traffic,
        ("traffic",),
        "lb.requests",
        "loadbalancer",
        ("app", "lb"),
        _ERRORS,
    ),
    "memory": Check(
        memory.decide,
        ("memory",),
        "host.memory",
        "host",
        (),
        "High Memory Usage",
        complete="the kernel has all figures; a group that is not read is host.memory.unknown",
    ),
    "swap": Check(
        memory.decide_swap,
        ("memory",),
        "host.swap",
        "host",
        (),
        "High Memory Usage",
        complete=_COUNTERS_OF_KERNEL,
    ),
    "disk": Check(
        disks.decide,
        ("disks",),
        "host.disk",
        "host",
        (),
        _MATRIX,
        ("space",),
        complete="a file system that cannot be measured is host.disk.unknown",
    ),
    "cpu": Check(
        cpu.decide, ("cpu",), "host.cpu", "host", (), _MATRIX, complete=_COUNTERS_OF_KERNEL
    ),
    "load": Check(
        cpu.decide_load, ("cpu",), "host.load", "host", (), _MATRIX, complete=_COUNTERS_OF_KERNEL
    ),
    "iowait": Check(
        cpu.decide_iowait,
        ("cpu",),
        "host.iowait",
        "host",
        (),
        _ERRORS,
        complete=_COUNTERS_OF_KERNEL,
    ),
    "network": Check(
        network.decide,
        ("network",),
        "host.network",
        "host",
        (),
        _MATRIX,
        complete="each counter is there or not, and one that is not has nothing to count",
    ),
    "kernel": Check(_decide_kernel, ("kernel",), "host.kernel", "host", (), _MATRIX),
    "packages": Check(
        _decide_packages,
        ("packages",),
        "host.packages",
        "host",
        (),
        _MATRIX,
        complete="apt's history and systemd's times are read as a whole, or the probe fails",
    ),
    "resolver": Check(
        _decide_resolver,
        ("resolver",),
        "host.resolver",
        "host",
        (),
        _MATRIX,
        complete="each server is queried, and one that does not answer is the finding",
    ),
    "clock": Check(
        clock.decide,
        (),
        "host.clock",
        "host",
        (),
        _MATRIX,
        complete="two numbers are compared, and a controller that sent none is no controller",
    ),
    "restore_points": Check(
        restore_points.decide,
        ("restore_points",),
        "host.restore_point",
        "host",
        (),
        _MATRIX,
        complete="the directory of restore points is read as a whole, or the probe fails",
    ),
}


def run(params):
    """Return the result of ``sergas_health``; for an option that cannot be, its failure.

    Args:
        params: the module's options, validated.
    """
    try:
        return diagnose(params, CHECKS, PROBES)
    except OperationError as error:
        return {"failed": True, "msg": str(error)}
