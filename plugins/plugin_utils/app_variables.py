# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the app's variables are to be set, and which have no value. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def variables_without_value(missing: Iterable[str], values: Mapping[str, Any]) -> list[str]:
    """Return those of the missing variables that no value is known for.

    Args:
        missing: names, ``NAME`` or ``NAME|ALTERNATIVE``, each perhaps with a reason in brackets.
        values: {name: value}.
    """
    return [
        "|".join(_alternatives(item))
        for item in missing
        if not any(_usable(values.get(name)) for name in _alternatives(item))
    ]


def variables_to_set(values: Mapping[str, Any], missing: Iterable[str]) -> dict[str, Any]:
    """Return {name: value} to set: all of them if none is named as missing.

    Of alternatives, the first one that a value is known for is set.

    Args:
        values, missing: as for ``variables_without_value``.
    """
    if not missing:
        return dict(values)
    chosen = {}
    for item in missing:
        for name in _alternatives(item):
            if _usable(values.get(name)):
                chosen[name] = values[name]
                break
    return chosen


def _alternatives(missing: str) -> list[str]:
    """Return [name, ...] of ``NAME|ALTERNATIVE (reason)``, the preferred one first."""
    return [name.strip() for name in missing.partition(" (")[0].split("|") if name.strip()]


def _usable(value: Any) -> bool:
    return value is not None and value != ""
