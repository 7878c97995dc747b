# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of PostgreSQL's settings: read with their units, compared by what they mean.

PostgreSQL's rules: 1024-based memory units B kB MB GB TB, time units us ms s min h d, exact case;
a number without a unit is in the unit of the setting; booleans by any unambiguous beginning.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue

MEMORY_BYTES = {
    "B": 1,
    "kB": 1024,
    "MB": 1024**2,
    "GB": 1024**3,
    "TB": 1024**4,
}
TIME_MICROSECONDS = {
    "us": 1,
    "ms": 1000,
    "s": 1000000,
    "min": 60000000,
    "h": 3600000000,
    "d": 86400000000,
}
#: Settings that are lists: blanks around the commas do not count.
LISTS = frozenset(
    [
        "datestyle",
        "listen_addresses",
        "local_preload_libraries",
        "log_destination",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    ]
)

_NUMBER = re.compile(
    r"\s*([+-]?(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+))\s*(\S*)\s*\Z"
)
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT])(?:i?B)?\s*\Z")
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}


class ValueInvalid(InvalidValue):
    """The value cannot be one of the setting; the message says why."""


def memory_text(kilobytes):
    """Return an amount as a configuration file has it: in GB or MB where it is whole, else kB."""
    for unit, size in (("GB", 1024 * 1024), ("MB", 1024)):
        if kilobytes and kilobytes % size == 0:
            return "%d%s" % (kilobytes // size, unit)
    return "%dkB" % kilobytes


def memory_kb(text):
    """Return an amount of memory like ``16GB``, ``512 MB`` or ``1.5GiB`` in whole kB (1024-based).

    Raises:
        ValueInvalid: it is no such amount.
    """
    match = _AMOUNT.match(str(text))
    if match is None:
        raise ValueInvalid("%s is no amount of memory: write it like 16GB or 512MB" % text)
    unit = {"k": "kB", "K": "kB", "M": "MB", "G": "GB", "T": "TB"}[match.group(2)]
    return int(float(match.group(1)) * MEMORY_BYTES[unit] // 1024)


def boolean(text):
    """Return the truth value of a word that PostgreSQL takes for a boolean, or None."""
    word = str(text).strip().lower()
    if word in ("1", "0"):
        return word == "1"
    # "o" could be on or off.
    if not word or word == "o":
        return None
    found = {value for name, value in _BOOLEANS.items() if name.startswith(word)}
    return found.pop() if len(found) == 1 else None


def _unit_factor(given, own):
    """Return what a number in the unit `given` is multiplied by to be in the unit `own`, or
    None.
    """
    match = re.match(r"(\d*)(\D+)\Z", own)
    blocks, base = int(match.group(1) or 1), match.group(2)
    for table in (MEMORY_BYTES, TIME_MICROSECONDS):
        if base in table:
            if given not in table:
                return None
            return table[given] / float(blocks * table[base])
    return None


def number(text, unit=None):
    """Return a numeric value in the unit of its setting.

    Args:
        text: for example ``8MB``, ``0.9``, ``200``.
        unit: the setting's unit as pg_settings has it (``8kB``, ``ms``), or None.

    Raises:
        ValueInvalid: it is no number, or its unit does not fit.
    """
    match = _NUMBER.match(str(text))
    if match is None:
        raise ValueInvalid("it needs a number, not %r" % str(text))
    digits, given = match.groups()
    if "x" in digits.lower():
        value = float(int(digits, 16))
    elif len(digits) > 1 and digits[0] == "0" and digits.isdigit():
        # File modes are octal, in PostgreSQL as in C.
        value = float(int(digits, 8))
    else:
        value = float(digits)
    if not given:
        return value
    factor = _unit_factor(given, unit) if unit else None
    if factor is None:
        units = ", ".join(TIME_MICROSECONDS if unit in TIME_MICROSECONDS else MEMORY_BYTES)
        raise ValueInvalid(
            "the unit %s does not fit: %s" % (given, "use %s" % units if unit else "it has none")
        )
    return value * factor


def canonical(value, entry):
    """Return a value in a form that is equal for equal values.

    Args:
        value: as a configuration file, a person or pg_settings has it.
        entry: the setting's row of pg_settings: ``name``, ``vartype``, ``unit``, ``enumvals``.

    Raises:
        ValueInvalid: it cannot be a value of this setting.
    """
    kind = entry["vartype"]
    text = plain(value)
    if kind == "bool":
        truth = boolean(text)
        if truth is None:
            raise ValueInvalid("it needs a boolean value, not %r" % text)
        return truth
    if kind in ("integer", "real"):
        amount = number(text, entry.get("unit"))
        # PostgreSQL rounds an integer to the nearest, halves to the even one.
        return round(amount) if kind == "integer" else amount
    if kind == "enum":
        return _canonical_enum(text, entry)
    if entry["name"].lower() in LISTS:
        return tuple(part.strip().strip('"') for part in text.split(","))
    return text


def _canonical_enum(text, entry):
    known = list(entry.get("enumvals") or [])
    word = text.strip().lower()
    if known and word not in known:
        # Older words for on and off, which the list leaves out.
        truth = boolean(word)
        word = {True: "on", False: "off"}.get(truth, word)
        if word not in known:
            raise ValueInvalid("it needs one of %s, not %r" % (", ".join(known), text))
    if word == "on" and "pglz" in known:
        # wal_compression: the server reads back as the method that "on" stands for.
        return "pglz"
    return word


def plain(value):
    """Return a value from YAML as text for a configuration file."""
    if value is True or value is False:
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def same(one, other, entry, tolerance=0.0):
    """Return whether two values mean the same for a setting.

    Args:
        tolerance: numbers that differ by no more than this share of the second count as the same;
            0 and negative values, which switch things off, never do.

    Raises:
        ValueInvalid: one of them cannot be a value of this setting.
    """
    first, second = canonical(one, entry), canonical(other, entry)
    if first == second:
        return True
    if not tolerance or entry["vartype"] not in ("integer", "real"):
        return False
    if first <= 0 or second <= 0:
        return False
    return abs(first - second) <= tolerance * abs(second)
