# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of an inventory that roles read: their names, and which values can be.

Names, types and choices are those of the roles' ``meta/argument_specs.yml``; ranges are the
modules' own.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._health.runner import RANGES
from ansible_collections.sergas.ops.plugins.plugin_utils import run_scope

_ROLES = Path(__file__).resolve().parents[2] / "roles"
_NAME = re.compile(r"^ +(sergas_\w+):$", re.M)
#: Variables that no role has as an option: those of playbooks and of single hosts.
_OTHERS = (
    "sergas_addresses",
    "sergas_hosts",
    "sergas_zoho_hosts",
    "sergas_zoho_job",
    "sergas_serial",
)
#: What tasks register and set, and what merges into another variable.
_OURS = (
    "sergas_dead_man",
    "sergas_diagnose_",
    "sergas_fleet_report",
    "sergas_remediat",
    "sergas_remedy_",
    "sergas_run_scope",
    "sergas_thresholds_",
)
#: Roles whose variables count in a diagnosis, and so before it. The others check their own.
_CHECKED = ("diagnose", "remediate")
#: {variable: (least, most)}.
_RANGES: dict[str, tuple[float, float]] = {
    **{"sergas_" + name: (least, most) for name, least, most in RANGES},
    "sergas_insights_deadline": (1, 600),
}
_MOST_HOSTS = 3
_WORDS = frozenset(("yes", "on", "true", "1", "y", "t", "no", "off", "false", "0", "n", "f"))


@functools.cache
def known() -> frozenset[str]:
    """Return the names of all variables that an inventory may set."""
    found = set(_OTHERS)
    for path in _ROLES.glob("*/meta/argument_specs.yml"):
        found.update(_NAME.findall(path.read_text(encoding="utf-8")))
    return frozenset(found)


def misspelt(names: Iterable[str]) -> dict[str, str]:
    """Return {name: the variable that it is likely meant to be} of names that are none of ours."""
    others = [name for name in names if name not in known() and not name.startswith(_OURS)]
    found = {name: run_scope.near(name, known()) for name in others}
    return {name: meant for name, meant in found.items() if meant}


@functools.cache
def options() -> dict[str, dict[str, Any]]:
    """Return {variable: its argument spec} of the roles that a diagnosis runs."""
    found: dict[str, dict[str, Any]] = {}
    for role in _CHECKED:
        text = (_ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
        found.update(yaml_load(text)["argument_specs"]["main"]["options"])
    return found


def is_checked(name: str) -> bool:
    """Return whether ``refusals`` knows what a variable may be."""
    return name in options() or _is_thresholds(name)


def refusals(
    values: Iterable[tuple[str, Any, list[str]]], choices: Mapping[str, list[str]] | None = None
) -> list[str]:
    """Return a sentence for each value that cannot be.

    Args:
        values: (variable, value, hosts that have it).
        choices: {variable: what its elements may be}, where its argument spec does not say so.
    """
    found = []
    for name, value, hosts in values:
        spec = options().get("sergas_thresholds" if _is_thresholds(name) else name)
        # An empty value is one that is not given.
        if spec is None or value is None or value == "":
            continue
        reason = _refusal(name, value, spec, (choices or {}).get(name) or spec.get("choices"))
        if reason:
            shown = ", ".join(hosts[:_MOST_HOSTS])
            more = len(hosts) - _MOST_HOSTS
            found.append("%s (on %s%s)" % (reason, shown, " +%d" % more if more > 0 else ""))
    return found


def _is_thresholds(name: str) -> bool:
    return name.startswith("sergas_thresholds_")


def _refusal(name: str, value: Any, spec: Mapping[str, Any], choices: Any) -> str | None:
    allowed = _KINDS.get(spec["type"], _anything)(name, value)
    if allowed is None and choices:
        given = _list(value) if spec["type"] == "list" else [value]
        wrong = [item for item in given if str(item) not in choices]
        if wrong:
            value, allowed = wrong[0], "one of: %s" % ", ".join(choices)
            close = difflib.get_close_matches(str(value), choices, 1)
            if close:
                return "%s: %r is not allowed, did you mean %s? It must be %s" % (
                    name,
                    value,
                    close[0],
                    allowed,
                )
    if allowed is None:
        return _merged(name, value) if _is_thresholds(name + "_") else None
    # A secret of the wrong type is still one.
    shown = "its value" if spec.get("no_log") else repr(value)
    return "%s: %s is not allowed, it must be %s" % (name, shown, allowed)


def _merged(name: str, value: Any) -> str | None:
    """Return why thresholds of the diagnosis cannot be, or None."""
    try:
        thresholds.merge(value)
    except InvalidValue as error:
        return str(error).replace("thresholds", name, 1)
    return None


def _anything(_name: str, _value: Any) -> None:
    return None


def _number(name: str, value: Any, whole: bool = False) -> str | None:
    least, most = _RANGES.get(name, (None, None))
    allowed = "a whole number" if whole else "a number"
    if least is not None:
        allowed += " from %g to %d" % (least, most or 0)
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        good = not math.isnan(number) and (not whole or number == int(number))
        if least is not None:
            good = good and least <= number <= (most or 0)
    except (TypeError, ValueError, OverflowError):
        good = False
    return None if good else allowed


def _whole(name: str, value: Any) -> str | None:
    return _number(name, value, whole=True)


def _switch(_name: str, value: Any) -> str | None:
    return None if str(value).strip().lower() in _WORDS else "true or false"


def _text(_name: str, value: Any) -> str | None:
    return "a text" if isinstance(value, (list, dict)) else None


def _names(_name: str, value: Any) -> str | None:
    return None if isinstance(value, (list, str)) else "a list"


def _dictionary(_name: str, value: Any) -> str | None:
    return None if isinstance(value, dict) else "a dictionary"


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return list(value)


#: {type of an argument spec: returns what is allowed where a value is not}.
_KINDS: dict[str, Callable[[str, Any], str | None]] = {
    "bool": _switch,
    "dict": _dictionary,
    "float": _number,
    "int": _whole,
    "list": _names,
    "path": _text,
    "str": _text,
}
