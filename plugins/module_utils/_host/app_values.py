# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the app's settings may be set to: their kinds, and why a text is refused (pure)."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._net import url

WHOLE, NUMBER, SWITCH, PORT, LEVEL, DATABASE, REDIS, ADDRESS, TEXT = (
    "whole",
    "number",
    "switch",
    "port",
    "level",
    "database",
    "redis",
    "address",
    "text",
)
_NAMES = {
    PORT: "API_PORT PORT DATABASE_PORT REDIS_PORT",
    WHOLE: (
        "WORKERS WEB_CONCURRENCY DATABASE_POOL_SIZE DATABASE_MAX_OVERFLOW DATABASE_TIMEOUT REDIS_DB"
        " REDIS_CACHE_TTL CACHE_TTL MAX_CONCURRENT_ACCOUNTS CELERY_WORKER_CONCURRENCY"
        " RATE_LIMIT_PER_MINUTE CIRCUIT_BREAKER_FAILURE_THRESHOLD CIRCUIT_BREAKER_RECOVERY_TIMEOUT"
        " MAX_RETRY_ATTEMPTS ZOHO_BATCH_SIZE SESSION_TIMEOUT"
    ),
    NUMBER: "ZOHO_BATCH_DELAY",
    SWITCH: "REDIS_SSL ENABLE_CACHE ENABLE_RATE_LIMITING REQUIRE_MFA",
    LEVEL: "LOG_LEVEL",
    DATABASE: "DATABASE_URL",
    REDIS: "REDIS_URL",
    ADDRESS: "COGNEE_BASE_URL COGNEE_API_URL ZOHO_ACCOUNTS_URL ZOHO_API_URL",
}
#: Kinds whose value may be shown, unless its name says that it is a secret.
SIMPLE = (WHOLE, NUMBER, SWITCH, PORT, LEVEL)
#: The settings that operators of the app know.
KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_WORDS = {
    WHOLE: "is not a whole number",
    NUMBER: "is not a number",
    SWITCH: "is neither true nor false",
    PORT: "is not a port",
    LEVEL: "is not a level of the log",
}
_EXAMPLES = (
    "change_me",
    "changeme",
    "change-me",
    "your_",
    "your-",
    "todo",
    "example",
    "placeholder",
) + ("replace_me", "replaceme", "replace-me")
# As pydantic takes them. Most values need no pattern, and a pattern costs more than the rest.
_SWITCHES = frozenset("0 1 off on f t false true n y no yes".split())
_LEVELS = frozenset(
    "trace debug info success notice warn warning error critical fatal notset".split()
)
_WHOLE = r"\s*[+-]?[0-9]+(?:_[0-9]+)*(?:\.0+)?\s*\Z"
_NUMBER = r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*\Z"


def refusal(kind, text):
    """Return why an app refuses a value, without any of it, or None for one that it takes.

    Args:
        kind: one of those above.
        text: the value.
    """
    if kind in (DATABASE, REDIS, ADDRESS):
        return _refused_url(kind, text) if text.strip() else None
    return None if kind == TEXT or _is_good(kind, text) else _words(text, kind)


def _is_good(kind, text):
    if kind == SWITCH:
        return text.lower() in _SWITCHES
    word = text.strip()
    digits = word.isdigit() and word.isascii()
    if kind == LEVEL:
        return digits or word.lower() in _LEVELS
    if kind == NUMBER:
        return digits or bool(re.match(_NUMBER, text))
    if not digits and not re.match(_WHOLE, text):
        return False
    return kind != PORT or 0 < int(float(word.replace("_", ""))) < 65536


def _words(text, kind):
    return _WORDS[kind] if text.strip() else "is set to nothing, which " + _WORDS[kind]


def _refused_url(kind, text):
    # Where there is a URL, as its parser.
    from ansible_collections.sergas.ops.plugins.module_utils._host import service_url

    characters = service_url.to_encode(text) if kind != ADDRESS else ""
    if kind == REDIS and characters.strip("%@") == "":
        characters = ""  # urllib.parse, with which redis-py reads it, looks for the last @
    if characters:
        return "has %s in its password or user as it is: encode it (%s)" % (
            " and ".join(characters),
            ", ".join("%s as %s" % (one, url.quote(one)) for one in characters),
        )
    try:
        service_url.split(text)
    except ValueError as error:
        return "is malformed: %s" % error
    return None


def alphabet(text):
    """Return which characters a secret has, as one word for each kind of them."""
    found = {
        "lower"
        if "a" <= one <= "z"
        else "upper"
        if "A" <= one <= "Z"
        else "digits"
        if "0" <= one <= "9"
        else "others"
        for one in text
    }
    return sorted(found)


def is_placeholder(text):
    """Return whether a value looks like one of an example that was never replaced."""
    word = text.strip().lower()
    return (
        (word[:1], word[-1:]) == ("<", ">")
        or (word[:2], word[-2:]) == ("{{", "}}")
        or word.startswith(_EXAMPLES)
        or word in ("secret", "password", "dummy", "none", "null")
        or (len(word) > 2 and not word.strip("x*"))
    )
