# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets: which names speak of one, and texts and data without them."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

MASK = "********"

_SECRET_NAME = (
    r"(?:password|passwd|secret|token|api[_-]?key|authorization|credential|private[_-]?key)"
)
#: Endings of names that speak of a secret: ENCRYPTION_KEY, SENTRY_DSN.
_SECRET_ENDING = r"(?:key|pass|pwd|passphrase|salt|dsn|pem)"
_REDACTIONS = (
    # user:password@host in any URL
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.I), r"\1" + MASK),
    # Zoho's tokens and codes: 1000.<hex>.<hex>
    (re.compile(r"\b1000\.[0-9a-zA-Z]{8,}\.[0-9a-zA-Z]{8,}"), MASK),
    (re.compile(r"\b(bearer|basic|zoho-oauthtoken)(\s+)[^\s\"',;]+", re.I), r"\1\2" + MASK),
    # NAME=value, NAME: value, "name": "value", for names that speak of a secret. Only from where a
    # word
    # begins: tried from each letter of a long one, it would take seconds for a line of 5 kB.
    (
        re.compile(
            r"((?<![\w-])[\w-]*(?:%s[\w-]*|[_-]%s)[\"']?\s*[=:]\s*)"
            r"(\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)" % (_SECRET_NAME, _SECRET_ENDING),
            re.I,
        ),
        r"\1" + MASK,
    ),
)
_SECRET_KEY = re.compile(r"%s|%s\Z" % (_SECRET_NAME, _SECRET_ENDING), re.I)
#: Shorter values would mask ordinary words all over a report.
_SHORTEST_SECRET = 6


def is_secret_name(name: str) -> bool:
    """Return whether the name of a variable or key says that its value is a secret."""
    return bool(_SECRET_KEY.search(name))


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return text without the given secret values and without what looks like a secret."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


def redact_all(value: Any, secrets: Iterable[str] = ()) -> Any:
    """Return a copy of plain data (dicts, lists, strings, numbers) with every string redacted."""
    if isinstance(value, dict):
        return {
            redact(key, secrets) if isinstance(key, str) else key: redact_all(item, secrets)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redact_all(item, secrets) for item in value]
    if isinstance(value, str):
        return redact(value, secrets)
    return value
