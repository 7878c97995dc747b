# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times: texts in UTC, the boot and the seconds since it."""

from __future__ import annotations

import re
import time

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TIME = re.compile(
    r"(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)Z\Z"
)


def clock(at):
    """Return a time in seconds since the epoch as text in UTC."""
    return time.strftime(FORMAT, time.gmtime(at))


def seconds(text):
    """Return a time as text in seconds since the epoch, or None if it is none."""
    found = _TIME.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    # Counted from March on, a year has its leap day last. Reckoned here, since a diagnosis that
    # loads strptime for it takes longer.
    year -= month < 3
    days = 365 * year + year // 4 - year // 100 + year // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + day - 719469
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def boot_id():
    """Return the id of this boot of the host, or an empty text where the kernel does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as source:
            return source.read().strip()
    except OSError:
        return ""


def uptime():
    """Return the seconds since the boot, those that the host was suspended among them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
