# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who lives on the host beside PostgreSQL: the app, Celery, Redis, Cognee, anything else.

Configuration decides the amounts, so that they are the same on every run. Only what has no
configuration here (`other`) is measured, in steps of an eighth of the memory.
"""

from __future__ import annotations

import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, files
from ansible_collections.sergas.ops.plugins.module_utils._host import dotenv
from ansible_collections.sergas.ops.plugins.module_utils._net import url
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import budget
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.values import (
    memory_text,
)

REDIS_FILES = (
    "/etc/redis/redis.conf",
    "/etc/redis.conf",
    "/etc/redis/redis-server.conf",
    "/etc/valkey/valkey.conf",
)
#: What the app's unit starts where nothing says how many.
APP_WORKERS = 4
_COMMANDS = (
    # (tenant, the command line of its processes); the first match counts.
    ("postgresql", r"(?:^|/)(?:postgres|postmaster|pg_ctl)\b|^postgres:"),
    ("redis", r"(?:^|/)(?:redis|valkey)-server\b"),
    ("celery", r"\bcelery\b"),
    ("cognee", r"\bcognee\b"),
    ("app", r"\b(?:uvicorn|gunicorn)\b"),
)


def from_environment(values):
    """Return what the app's .env says of the tenants, as fields of ``budget.Tenants``.

    Args:
        values: {name: value}.
    """
    found = {"app_workers": _number(values.get("WORKERS")) or APP_WORKERS}
    if _number(values.get("CELERY_WORKER_CONCURRENCY")) is not None:
        found["celery_workers"] = _number(values["CELERY_WORKER_CONCURRENCY"])
    cognee = values.get("COGNEE_BASE_URL") or values.get("COGNEE_API_URL")
    if cognee and (not _host(cognee) or addresses.is_loopback(_host(cognee))):
        found["cognee_kb"] = budget.COGNEE_KB
    return found


def _number(text):
    match = re.match(r"\s*(\d+)\b", text or "")
    return int(match.group(1)) if match else None


def _host(address):
    try:
        return url.split(address).host or ""
    except ValueError:
        return address


def redis_maxmemory_kb(text):
    """Return maxmemory of a redis.conf in kB; 0 is no bound, as for Redis."""
    found = 0
    for line in text.splitlines():
        match = re.match(r"\s*maxmemory\s+\"?(\d+)([kmg]?b?)\"?\s*$", line, re.IGNORECASE)
        if match:
            unit = match.group(2).lower()
            # Redis: k is 1000, kb is 1024.
            size = {"": 1, "b": 1, "k": 1000, "m": 1000**2, "g": 1000**3}.get(unit)
            size = size or {"kb": 1024, "mb": 1024**2, "gb": 1024**3}[unit]
            found = int(match.group(1)) * size // 1024
    return found


def tenant_of(command):
    """Return which tenant a command line belongs to, or ``other``."""
    for tenant, pattern in _COMMANDS:
        if re.search(pattern, command):
            return tenant
    return "other"


def other_step_kb(resident_kb, memory_kb):
    """Return the line for what has no name, from what it holds now, or None if the reserve holds
    it.

    Args:
        resident_kb: resident memory of all processes without a name here, kB.
        memory_kb: memory of the host, kB.
    """
    reserve = max(budget.RESERVE_LEAST_KB, memory_kb * budget.RESERVE_PERCENT // 100)
    if resident_kb <= reserve:
        return None
    step = max(1, memory_kb // 8)
    return -(-(resident_kb - reserve) // step) * step


def processes(proc="/proc"):
    """Return [(command line, resident kB)] of the host's processes."""
    page_kb = os.sysconf("SC_PAGE_SIZE") // 1024
    found = []
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            with open("%s/%s/cmdline" % (proc, name), "rb") as file:  # path: /proc
                command = file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            with open("%s/%s/statm" % (proc, name), "rb") as file:  # path: /proc
                resident = int(file.read().split()[1]) * page_kb
        except (OSError, IndexError, ValueError):
            # It has ended, or hides.
            continue
        if command:
            found.append((command, resident))
    return found


def discover(env_file, memory_kb):
    """Return (tenants of this host, where each is from).

    Args:
        env_file: the app's .env.
        memory_kb: memory of the host, kB.
    """
    fields, evidence = {}, {}
    try:
        text = files.read_text(env_file)
        fields = from_environment(dotenv.dotenv_values(dotenv.parse(text)))
        evidence = dict.fromkeys(fields, env_file)
    except OSError:
        pass
    for path in REDIS_FILES:
        try:
            fields["redis_kb"] = redis_maxmemory_kb(files.read_text(path))
            evidence["redis_kb"] = path
            break
        except OSError:
            continue
    resident = {}
    for command, kilobytes in processes():
        tenant = tenant_of(command)
        resident[tenant] = resident.get(tenant, 0) + kilobytes
    # Running, but nothing says how large it may get.
    if "redis" in resident and "redis_kb" not in fields:
        fields["redis_kb"], evidence["redis_kb"] = 0, "redis-server runs"
    if "cognee" in resident and "cognee_kb" not in fields:
        fields["cognee_kb"], evidence["cognee_kb"] = budget.COGNEE_KB, "cognee runs"
    if "app" in resident and "app_workers" not in fields:
        fields["app_workers"], evidence["app_workers"] = APP_WORKERS, "uvicorn or gunicorn runs"
    other = other_step_kb(resident.get("other", 0), memory_kb)
    if other is not None:
        fields["other_kb"] = other
        evidence["other_kb"] = "%s resident in other processes" % memory_text(
            resident["other"] // 1024 * 1024
        )
    return budget.Tenants(**fields), evidence
