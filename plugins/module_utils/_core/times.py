# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times: texts in UTC, the boot and the seconds since it."""

from __future__ import annotations

import re
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Tuple, Union

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")


# Any instead of None, which those who give a time need not expect.
def clock(at: Optional[float]) -> Union[str, Any]:
    """Return a time in seconds since the epoch as text in UTC; None for None."""
    return None if at is None else time.strftime(FORMAT, time.gmtime(at))


def compact(at: float) -> str:
    """Return a time in seconds since the epoch in UTC, as part of a name."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))


def seconds(text: Any) -> Optional[int]:
    """Return a time as text in seconds since the epoch, or None if it is none."""
    if not isinstance(text, str) or not _TIME.match(text):
        return None
    # Only here: most hosts have no times to read, and it costs as much to load as a probe.
    from datetime import datetime

    try:
        return int(datetime.fromisoformat(text[:-1] + "+00:00").timestamp())
    except ValueError:
        return None


def moment(parts: Tuple[int, int, int, int, int, int], zone: Optional[str]) -> Optional[float]:
    """Return a time as a log has it in seconds since the epoch, or None if it is none.

    Args:
        parts: year, month, day, hour, minute and second.
        zone: Z, UTC or an offset such as +01:00; None for the zone of this host.
    """
    _year, month, day, hour, _minute, _second = parts
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24):
        return None
    # Only here: most hosts have no such times to read, and it costs as much to load as a probe.
    import calendar

    try:
        if zone is None:
            return time.mktime((*parts, 0, 0, -1))
        at = calendar.timegm((*parts, 0, 0, 0))
    except (OverflowError, ValueError):
        return None
    if zone in ("Z", "UTC"):
        return at
    offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return at - offset if zone[0] == "+" else at + offset


def year(at: float) -> int:
    """Return the year of a time in seconds since the epoch, in the zone of this host."""
    return time.localtime(at).tm_year


def boot_id() -> str:
    """Return the id of this boot of the host, or an empty text where the kernel gives none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as source:
            return source.read().strip()
    except OSError:
        return ""


def uptime() -> float:
    """Return the seconds since the boot, those that the host was suspended among them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
