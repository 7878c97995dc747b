# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance windows: the hours in which a service may be interrupted. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\Z")
_KEYS = ("days", "start", "end", "timezone")


class Window(TypedDict):
    """A maintenance window.

    Attributes:
        days: those on which it starts; 0 is Monday.
        start, end: minutes of the day.
    """

    days: list[int]
    start: int
    end: int
    timezone: str


def parse(value: Any) -> Window:
    """Return a window as dict with days (numbers, 0 is Monday), start and end (minutes of the day)
    and timezone.

    Args:
        value: dict with start and end as ``HH:MM``, and perhaps days (all of them if not given) and
            timezone (UTC if not given). One whose end is not after its start lasts into the next
            day; the days are those on which it starts.

    Raises:
        ValueError: names the key, its value and what is allowed.
    """
    if not isinstance(value, dict):
        raise ValueError("%r is not allowed, it must be a dictionary with start and end" % (value,))
    for key in value:
        if key not in _KEYS:
            raise ValueError("%s is not one of its keys: %s" % (key, ", ".join(_KEYS)))
    days = value.get("days", list(DAYS))
    if not isinstance(days, list) or not days or any(day not in DAYS for day in days):
        raise ValueError("days: %r must be a list of: %s" % (days, ", ".join(DAYS)))
    timezone = value.get("timezone", "UTC")
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise ValueError(
            "timezone: %r is not one this controller knows, such as Europe/Lisbon" % (timezone,)
        ) from error
    return {
        "days": sorted(DAYS.index(day) for day in days),
        "start": _minutes("start", value.get("start")),
        "end": _minutes("end", value.get("end")),
        "timezone": str(timezone),
    }


def _minutes(key: str, value: Any) -> int:
    match = _CLOCK.match(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("%s: %r must be a time such as '22:00', in quotes" % (key, value))
    return int(match.group(1)) * 60 + int(match.group(2))


def is_open(window: Window, moment: datetime) -> bool:
    """Return whether a moment, a datetime that knows its time zone, lies in the window."""
    local = moment.astimezone(ZoneInfo(window["timezone"]))
    minute = local.hour * 60 + local.minute
    today = local.weekday() in window["days"]
    yesterday = (local - timedelta(days=1)).weekday() in window["days"]
    if window["start"] < window["end"]:
        return today and window["start"] <= minute < window["end"]
    return (today and minute >= window["start"]) or (yesterday and minute < window["end"])


def describe(window: Window) -> str:
    """Return the window as a person reads it: mon, tue 22:00-04:00 UTC."""
    days = ", ".join(DAYS[day] for day in window["days"]) if len(window["days"]) < 7 else "daily"
    clock = ["%02d:%02d" % divmod(window[key], 60) for key in ("start", "end")]
    return "%s %s-%s %s" % (days, clock[0], clock[1], window["timezone"])
