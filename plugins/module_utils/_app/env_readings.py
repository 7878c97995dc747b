# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the readers of a ``.env`` read differently, and what is set twice in it (pure)."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._host import dotenv, dotenv_masking

_NOT_SHOWN = "systemd and python-dotenv read it differently (a secret, not shown)"


def systemd_readings(text):
    return [dotenv.systemd_values(text), dotenv.systemd_values(text, comments_join=True)]


def ambiguous(text, marked=()):
    """Return {name: reason} of the variables that systemd and python-dotenv read differently.

    Args:
        text: of the file.
        marked: names whose values must not be shown, beyond those that say so themselves.
    """
    lines = dotenv.parse(text)
    by_dotenv = dotenv.dotenv_values(lines)
    by_systemd, before_254 = systemd_readings(text)
    numbers = {line.name: line.number for line in lines if line.name is not None}
    found = {}
    for name in list(numbers) + sorted(set(by_systemd) - set(numbers)):
        readings = by_systemd.get(name), by_dotenv.get(name)
        if readings[0] == readings[1]:
            if name in by_systemd and name not in before_254:
                reason = (
                    "systemd before 254 takes it as part of the comment above, which ends in a"
                    " backslash"
                )
                found[name] = "line %d: %s" % (numbers[name], reason)
            continue
        # With the lines of others in it, or an address with a password, it may be as secret.
        hidden = dotenv_masking.is_secret(name, marked) or any(
            "\n" in item or "://" in item for item in readings if item
        )
        reason = (
            _NOT_SHOWN
            if hidden
            else "systemd reads %s, python-dotenv reads %s" % tuple(map(_shown, readings))
        )
        found[name] = "line %d: %s" % (numbers[name], reason) if name in numbers else reason
    return found


def _shown(text):
    return "nothing" if text is None else repr(text if len(text) <= 80 else text[:77] + "...")


def duplicates(text):
    """Return the names that are set more than once."""
    names = [line.name for line in dotenv.parse(text) if line.name is not None]
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]
