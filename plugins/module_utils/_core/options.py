# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that several modules have: numbers within ranges, texts, and which checks to run."""

from __future__ import annotations

import math

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Container, Iterable, List, Mapping, Optional, Sequence, Tuple

    Ranges = Iterable[Tuple[str, float, float]]


def check(params: Mapping[str, Any], spec: Mapping[str, Any], ranges: Ranges) -> None:
    """Refuse the first option that no module can use, before its type is converted.

    Of an option within another, the message names ``outer.inner``. A text with a NUL byte, or with
    bytes that are not UTF-8, is no file name, no argument of a command and nothing that a result
    can hold. What is infinite is converted to no whole number.

    Args:
        params: {name: value} of the options, as they were given.
        spec: the argument spec.
        ranges: (name, least, most) of each number, both allowed; of a list of numbers, the name is
            that of the list.

    Raises:
        InvalidValue: the message names the option and what is allowed; the value only of a number.
    """
    for name, value in params.items():
        # Not an option, but what Ansible itself tells a module.
        if not str(name).startswith("_ansible_"):
            _check_text(str(name), value)
    _check_numbers("", params, spec, {name: (least, most) for name, least, most in ranges})


def _check_text(name: str, value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_text(name, key)
            _check_text("%s.%s" % (name, str(key)[:60]), item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_text(name, item)
    elif isinstance(value, str):
        try:
            allowed = "\0" not in value and value.encode() is not None
        except UnicodeEncodeError:
            allowed = False
        if not allowed:
            raise InvalidValue(
                "%s: a text with a NUL byte, or that is not UTF-8, is not allowed"
                % ascii(name)[1:-1]
            )


def _check_numbers(
    prefix: str,
    params: Mapping[str, Any],
    spec: Mapping[str, Any],
    ranges: Mapping[str, Tuple[float, float]],
) -> None:
    for name, option in spec.items():
        # Of a template that gives nothing: Ansible converts it, or says that it is none.
        given = params.get(name)
        items = given if isinstance(given, list) else [given]
        for item in items:
            if option.get("options") and isinstance(item, dict):
                _check_numbers("%s%s." % (prefix, name), item, option["options"], ranges)
            elif "int" in _types(option) or "float" in _types(option):
                _check_number(prefix + name, item, ranges)


def _types(option: Mapping[str, Any]) -> Tuple[Any, Any]:
    return option.get("type"), option.get("elements")


def _check_number(name: str, value: Any, ranges: Mapping[str, Tuple[float, float]]) -> None:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError):
        # Ansible refuses it by its name and type; None is an option that is not set.
        return
    least, most = ranges.get(name, (-math.inf, math.inf))
    # Written so that "not a number" is out of every range, too.
    if not least <= number <= most or math.isinf(number):
        raise InvalidValue(
            "%s: %s is not allowed, it must be from %s to %s" % (name, str(value)[:40], least, most)
        )


def check_ranges(params: Mapping[str, Any], ranges: Ranges) -> None:
    """Refuse the first number among the options that is out of its range.

    Args:
        params: {name: value} of the options; one that is not set, or None, is left out.
        ranges: (name, least, most) of each, both allowed.

    Raises:
        InvalidValue: the message names the option, its value and what is allowed.
    """
    for name, least, most in ranges:
        value = params.get(name)
        # Written so that "not a number" is out of every range, too.
        if value is not None and not least <= value <= most:
            raise InvalidValue(
                "%s: %r is not allowed, it must be from %s to %s" % (name, value, least, most)
            )


def select(
    known: Sequence[str], wanted: Optional[Container[str]], skip: Optional[Container[str]]
) -> List[str]:
    """Return the names of the checks to run, in the order of known.

    Args:
        known: the names of all checks.
        wanted: those to run; None or none of them for all.
        skip: those not to run, or None.

    Raises:
        InvalidValue: nothing is left to run.
    """
    names = [name for name in known if (not wanted or name in wanted) and name not in (skip or ())]
    if not names:
        raise InvalidValue("checks and skip leave nothing to run, there are: %s" % ", ".join(known))
    return names
