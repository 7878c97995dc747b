# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The thresholds of the diagnosis: their defaults and how an operator's own replace them."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple

    Threshold = Tuple[float, float, str]

#: name: (warn, fail, unit). The guide's 80 percent is the warning; 90 percent is where things
#: break.
DEFAULTS = {
    "disk_percent": (80.0, 90.0, "%"),
    "inode_percent": (80.0, 90.0, "%"),
    "memory_percent": (80.0, 90.0, "%"),
    "swap_percent": (50.0, 80.0, "%"),
    "cpu_percent": (80.0, 90.0, "%"),
    "iowait_percent": (20.0, 40.0, "%"),
    "load_per_cpu": (2.0, 4.0, "per CPU"),
    "latency_seconds": (2.0, 5.0, "s"),
    "start_seconds": (20.0, 30.0, "s"),
    "error_rate_percent": (1.0, 5.0, "%"),
    "errors": (10.0, 100.0, "log lines"),
    "exceptions": (1.0, 10.0, "exceptions"),
    "restarts": (2.0, 5.0, "restarts"),
    "connections": (500.0, 1000.0, "connections"),
    "open_files_percent": (80.0, 90.0, "%"),
    "pool_percent": (90.0, 100.0, "%"),
    "db_connections_percent": (80.0, 90.0, "%"),
    "redis_memory_percent": (80.0, 90.0, "%"),
    "auth_failures": (10.0, 50.0, "failures per address"),
    "scanned_paths": (15.0, 60.0, "paths per address"),
    "rate_limit_lines": (1.0, 10.0, "log lines"),
    "conntrack_percent": (80.0, 95.0, "%"),
    "local_ports_percent": (80.0, 95.0, "%"),
    "clock_seconds": (5.0, 60.0, "s"),
}


def merge(
    overrides: Optional[Dict[str, Any]], defaults: Optional[Dict[str, Threshold]] = None
) -> Dict[str, Threshold]:
    """Return {name: (warn, fail, unit)}: the defaults with an operator's own values over them.

    Args:
        overrides: {name: {"warn": number, "fail": number}}, either key may be left out.
        defaults: {name: (warn, fail, unit)} of the caller; ``DEFAULTS`` if not given.

    Raises:
        InvalidValue: a name, key or value is not allowed; the message names it and what is.
    """
    defaults = DEFAULTS if defaults is None else defaults
    merged = dict(defaults)
    for name, given in (overrides or {}).items():
        if name not in defaults:
            raise InvalidValue(
                "thresholds: unknown name %r, allowed are %s" % (name, ", ".join(sorted(defaults)))
            )
        if not isinstance(given, dict) or not given or set(given) - {"warn", "fail"}:
            raise InvalidValue(
                "thresholds.%s: %r must be a dictionary with warn, fail or both" % (name, given)
            )
        warn, fail, unit = defaults[name]
        warn = _number(name, "warn", given.get("warn", warn))
        fail = _number(name, "fail", given.get("fail", fail))
        if warn > fail:
            raise InvalidValue(
                "thresholds.%s: warn %g is above fail %g, it must not be" % (name, warn, fail)
            )
        if unit == "%" and fail > 100 and name != "pool_percent":
            raise InvalidValue("thresholds.%s: fail %g is above 100 percent" % (name, fail))
        merged[name] = (warn, fail, unit)
    return merged


def _number(name: str, key: str, value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidValue("thresholds.%s.%s: %r is not a number" % (name, key, value))
    if not 0 <= number < float("inf"):
        raise InvalidValue("thresholds.%s.%s: %r must be 0 or more" % (name, key, value))
    return number
