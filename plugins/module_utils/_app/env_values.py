# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a value is written in a ``.env`` so that all of its readers read the same (pure)."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._host import dotenv

#: Needs no quotes anywhere. A ``~`` would be a home directory to a shell.
_PLAIN = re.compile(r"""(?:(?!#)[^\s'"\\$`&|;<>()~]+)?\Z""")
#: systemd drops a variable with any other control character than these.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Refused(OperationError):
    """It cannot be done; the message names the variable and says why, never its value."""


def as_text(name, value):
    """Return a value of the module's options as the text of a variable.

    Raises:
        Refused: for a list, a dictionary and null.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return value
    kind = {type(None): "null", list: "a list", dict: "a dictionary"}.get(
        type(value), type(value).__name__
    )
    raise Refused(
        "%s is %s: a variable is a text, a number or a boolean%s"
        % (
            name,
            kind,
            (
                "; to remove it, name it in absent"
                if value is None
                else "; to_json makes a text of it"
            ),
        )
    )


def forms(value):
    """Return the ways to write a value that systemd, python-dotenv and a shell read alike, best
    first.

    Raises:
        Refused: there is none; the message is the reason, without the value.
    """
    if _CONTROL.search(value):
        raise Refused("systemd takes no control characters but tab and newline")
    if "\r" in value:
        raise Refused("python-dotenv reads a carriage return as a newline")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused("it is not Unicode text")
    if dotenv.REFERENCE.search(value):
        raise Refused("python-dotenv puts a variable in place of ${...}, systemd does not")
    found = []
    if _PLAIN.match(value):
        found.append(value)
    if not re.search(r"'|\\\\|\\\Z", value):
        found.append("'%s'" % value)
    if not re.search(r"[$`]", value):
        found.append('"%s"' % re.sub(r'(["\\])', r"\\\1", value))
    if not found:
        # In double quotes a shell needs \$ and \`, which python-dotenv does not know.
        raise Refused(
            "with $ or ` it needs single quotes, where a quote, two backslashes together or one at"
            " the end are not read alike"
        )
    return found
