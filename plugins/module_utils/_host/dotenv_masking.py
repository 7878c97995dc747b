# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of a .env file without its secrets."""

from __future__ import annotations

import re
from typing import Dict, List

from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import (
    MASK,
    is_secret_name,
    redact,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import dotenv

ASSIGNMENT = re.compile(r"(?P<name>\s*(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*)\s*=")
_URL_PASSWORD = re.compile(r"(://[^\s:/@]*:).*@", re.S)


def is_secret(name, marked=()):
    """Return whether no one may see the value of this variable; marked ones are secret by
    request.
    """
    return name in marked or is_secret_name(name)


def named(line):
    """Return the variable that a line sets, or tries to."""
    if line.name is None and line.error:
        found = ASSIGNMENT.match(line.text)
        return found.group("name").split()[-1] if found else None
    return line.name


def secrets(text, marked=()):
    """Return the set of secret values in a file, as python-dotenv and systemd read them."""
    readings: List[Dict] = [dotenv.dotenv_values(dotenv.parse(text)), dotenv.systemd_values(text)]
    return {
        value
        for reading in readings
        for name, value in reading.items()
        if value and is_secret(name, marked)
    }


def without_url_password(text):
    """Return a text with the password of a URL masked, whatever characters stand in it."""
    return _URL_PASSWORD.sub(r"\1%s@" % MASK, text)


def masked(text, hidden, marked=(), changed=()):
    """Return the text of a file for a diff, without secrets.

    Args:
        text: of the file.
        hidden: the secret values, wherever they stand.
        marked: names whose values no one may see, beyond those that say so themselves.
        changed: names whose secret gets a mark, so that a diff shows that it is another one.
    """
    parts = []
    rest_is_secret = False
    for line in dotenv.parse(text):
        name = named(line)
        end = "\n" if line.text.endswith("\n") else ""
        if rest_is_secret:
            parts.append(MASK + end)
        elif (name is None and not line.error) or line.text.lstrip().startswith(";"):
            # A ; begins a comment, too, for systemd.
            parts.append(redact(line.text, hidden))
        elif name is None or not dotenv.VALID_NAME.match(name):
            # It is not known what it is; it may be the second line of a key.
            parts.append(MASK + end)
        elif is_secret(name, marked) or line.error:
            prefix = ASSIGNMENT.match(line.text)
            note = " (changed)" if name in changed else ""
            parts.append(
                "%s%s%s%s" % (prefix.group("name") + "=" if prefix else "", MASK, note, end)
            )
            # A key of many lines without quotes, or with the second one missing.
            rest_is_secret = line.error == "a quote that is not closed" or (
                line.start > 0
                and re.match(r"-----BEGIN(?!.*-----END)", line.text[line.start :], re.S) is not None
            )
        else:
            parts.append(redact(without_url_password(line.text), hidden))
    return "".join(parts)
