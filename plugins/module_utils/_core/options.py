# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that several modules have: numbers within ranges, and which checks to run."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Container, Iterable, List, Mapping, Optional, Sequence, Tuple


def check_ranges(params: Mapping[str, Any], ranges: Iterable[Tuple[str, float, float]]) -> None:
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
