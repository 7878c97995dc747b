# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times: texts in UTC, the boot and the seconds since it."""

from __future__ import annotations

import re
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Union

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


def local(text: str, pattern: str) -> Optional[float]:
    """Return a time as text in the host's own time zone in seconds since the epoch, or None.

    Args:
        text: the time.
        pattern: as ``strptime`` takes it.
    """
    from datetime import datetime

    try:
        return datetime.strptime(text, pattern).timestamp()
    except ValueError:
        return None


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
