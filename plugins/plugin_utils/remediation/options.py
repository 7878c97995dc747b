# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a remediation, checked before anything is touched. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, NoReturn, TypeVar

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import window

Default = TypeVar("Default", int, None)

DEFAULT_SHARE = 0.5
DEFAULT_BATCHES: list[int | str] = [1, "25%"]
DEFAULT_DISTRIBUTIONS = ["debian", "ubuntu"]
_PERCENT = re.compile(r"(\d{1,3})%\Z")


class OptionError(ValueError):
    """An option that cannot be; the message names it, its value and what is allowed."""


def refuse(option: str, value: Any, allowed: str) -> NoReturn:
    """Raise an OptionError in the words all of them have."""
    raise OptionError("%s: %r is not allowed, it must be %s" % (option, value, allowed))


def names(option: str, value: Any, known: Collection[str]) -> list[str]:
    """Return a list of the names of remedies.

    Args:
        option: its name, for the error.
        value: None, a list, or names with commas between them.
        known: the names there are.
    """
    if value is None:
        return []
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        refuse(option, value, "a list of the names of remedies")
    for name in value:
        if name not in known:
            refuse(option, name, "one of: %s" % ", ".join(sorted(known)))
    return list(dict.fromkeys(map(str, value)))


def distributions(option: str, value: Any) -> list[str]:
    """Return the ids of the distributions whose hosts are changed."""
    value = DEFAULT_DISTRIBUTIONS if value is None else value
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        refuse(option, value, "a list of the ids of distributions")
    return list(map(str, value))


def switch(option: str, value: Any) -> bool:
    """Return a boolean, also of the texts that ``-e name=true`` gives."""
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    text = str(value).strip().lower()
    if text not in words:
        refuse(option, value, "true or false")
    return words[text]


def share(option: str, value: Any) -> float:
    """Return a share of hosts, more than 0 and at most 1."""
    if value is None:
        return DEFAULT_SHARE
    try:
        part = float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError):
        part = None
    if part is None or not 0 < part <= 1:
        refuse(option, value, "a number above 0, at most 1")
    return part


def number(option: str, value: Any, default: Default, least: int, most: int) -> int | Default:
    """Return a whole number, also of the text that ``-e name=5`` gives; None is the default."""
    if value is None:
        return default
    try:
        if isinstance(value, (bool, float)):
            raise TypeError
        whole = int(value)
    except (TypeError, ValueError):
        whole = least - 1
    if not least <= whole <= most:
        refuse(option, value, "a whole number from %d to %d" % (least, most))
    return whole


def batches(option: str, value: Any) -> list[int | str]:
    """Return how many hosts each batch takes: numbers and shares in percent; the last one repeats.

    As ``serial`` of a play: ``5``, ``"30%"``, or a list of those.
    """
    if value is None:
        return list(DEFAULT_BATCHES)
    given = value if isinstance(value, list) else [value]
    allowed = "a number of hosts, a share such as '25%', or a list of those, none of them 0"
    result: list[int | str] = []
    for item in given:
        match = _PERCENT.match(item) if isinstance(item, str) else None
        if match and 0 < int(match.group(1)) <= 100:
            result.append(str(item))
            continue
        whole = int(item) if isinstance(item, str) and item.isdigit() else item
        if isinstance(whole, bool) or not isinstance(whole, int) or whole < 1:
            refuse(option, value, allowed)
        result.append(int(whole))
    if not result:
        refuse(option, value, allowed)
    return result


def maintenance_window(option: str, value: Any) -> window.Window | None:
    """Return a window by ``window.parse``, or None where none is given."""
    if value is None or value == {}:
        return None
    try:
        return window.parse(value)
    except ValueError as error:
        raise OptionError("%s: %s" % (option, error)) from error


def split(hosts: Sequence[str], sizes: Sequence[int | str]) -> list[list[str]]:
    """Return the hosts in batches.

    Args:
        hosts: their names, in order.
        sizes: what ``batches`` returns; a share is one of all hosts, rounded down, at least one.
    """
    rest = list(hosts)
    result: list[list[str]] = []
    while rest:
        size = sizes[min(len(result), len(sizes) - 1)]
        if isinstance(size, str):
            size = max(1, len(hosts) * int(size.rstrip("%")) // 100)
        result.append(rest[:size])
        rest = rest[size:]
    return result
