# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one line of the app's log says: its fields, and a kind of problem.

What a client can write into a line must not decide: fields inside quotes do not count, and of a
field that occurs several times the last one does, because the loggers write what they know
themselves after what they were given. What marks a level is in ``formats``.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses

_FIELDS = frozenset(
    (
        "path",
        "status_code",
        "status",
        "duration",
        "duration_ms",
        "remote_ip",
        "client_ip",
        "remote_addr",
        "level",
        "severity",
        "levelname",
        "lvl",
    )
)
_LEVEL_FIELDS = ("severity", "levelname", "lvl")
#: what the app itself says, even in quotes
_MESSAGE_FIELDS = ("error", "event", "msg", "message", "reason", "detail")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_NUMBERS = r"(?i)\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b"
_IDENTIFIER = re.compile(r"/(?:\d+|[0-9a-f]{8}-[0-9a-f-]{20,}|[0-9a-f]{16,})(?=/|$)", re.I)
_EXCEPTION = r"\b((?:\w+\.)*[A-Z]\w*(?:Error|Exception|Timeout|Interrupt|Warning|Exit))\b"
_FIRST_FIELD = r"\s[\w.]+="

#: Kind of problem: what its text contains, in lower case; the first kind that fits counts.
KINDS = (
    ("disk", ("no space left on device", "could not extend file", "read-only file system")),
    ("files", ("too many open files", "errno 24]")),
    ("port", ("address already in use", "errno 98]")),
    (
        "import",
        (
            "no module named",
            "cannot import name",
            "could not import module",
            "importerror",
            "error loading asgi",
        ),
    ),
    (
        "environment",
        (
            "environment variable",
            "validation error for settings",
            "validation errors for settings",
            # A file of settings that the app may not read, or that is not there.
            ": '.env'",
            "/.env'",
        ),
    ),
    ("memory", ("memoryerror", "cannot allocate memory")),
    (
        "database",
        ("psycopg", "asyncpg", "sqlalchemy", "postgres", "queuepool", "pg_hba", "too many clients"),
    ),
    ("redis", ("redis",)),
    ("cognee", ("cognee",)),
    ("zoho", ("zoho", "mcp_", "mcp ")),
    ("database", ("database", "5432", "statement timeout", "too many connections")),
)
#: what a database error says, the first that fits counts.
DATABASE_KINDS = (
    (
        "auth",
        (
            "password authentication failed",
            "no pg_hba.conf entry",
            "pg_hba.conf rejects",
            "no password supplied",
            'role "',
        ),
    ),
    ("missing", ('" does not exist', "invalidcatalogname")),
    ("exhausted", ("too many clients", "connection slots are reserved", "too many connections")),
    ("pool", ("queuepool limit", "pool timeout", "pool exhausted", "connection pool")),
    (
        "timeout",
        (
            "statement timeout",
            "canceling statement",
            "lock timeout",
            "timeout expired",
            "timed out",
        ),
    ),
    ("deadlock", ("deadlock",)),
    (
        "unreachable",
        (
            "connection refused",
            "connect call failed",
            "could not connect",
            "could not translate host name",
            "name or service not known",
            "name resolution",
            "no route to host",
            "is the server running",
            "server closed the connection",
            "terminating connection",
            "connection reset",
            "connection to server",
        ),
    ),
)
_MODULE = (
    r"No module named '?([\w.]+)|Could not import module \"([\w.]+)|cannot import name '\w+' from"
    r" '([\w.]+)"
)
_SHARED_LIBRARY = r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file"
_RATE_LIMIT = r"rate[ _-]?limit|too[ _]many[ _]requests|throttled"
#: Not a process, which uvicorn names in brackets.
_STATUS_429 = r"(?<![\w.,:/=\[-])(?<!pid )(?<!process )429(?![\w.])|http[ _/]?(?:status )?429"
#: The app says what it is set to, not what happened to it.
_SETTING = r"enabled|disabled|configured|initiali[sz]ed|per[ _]minute|remaining|loaded|setting"
_CIRCUIT_OPEN = r"circuit(?!.*\b(?:half|not)[ _-]?open).*\bopen(?:ed)?\b|circuit\w*_open(?:ed)?\b"
_CIRCUIT_CLOSED = r"circuit.*(?:\b|_)(?:closed|recovered|reset)\b"
_OTHER_CIRCUIT = ("cognee", "redis", "database", "postgres")
_AUTH_FAILED = (
    "authentication failed",
    "authentication_failed",
    "auth_failed",
    "auth failed",
    "login failed",
    "login_failed",
    "failed login",
    "invalid credentials",
    "invalid_credentials",
)


def fields(line):
    """Return ({name: value}, ambiguous, words) of a line with fields NAME=VALUE.

    Only the known fields are returned. ambiguous is True where the line names more than one remote
    address outside quotes. words is what the line says besides: without the values that come from a
    client, those of known fields and those in quotes.
    """
    quoted = {}
    if '"' in line and line.count('"') % 2 == 0:

        def hide(match):
            key = "\0%d" % len(quoted)
            quoted[key] = match.group()[1:-1]
            return key

        line = _QUOTED.sub(hide, line)
    found, ambiguous, words = {}, False, []
    for token in line.split():
        name, sign, value = token.partition("=")
        if sign and name in _FIELDS:
            value = quoted.get(value, value)
            if name == "remote_ip" and _differ(found.get(name, value), value):
                ambiguous = True
            found["level" if name in _LEVEL_FIELDS else name] = value
        elif "\0" not in token:
            words.append(token)
        elif name in _MESSAGE_FIELDS:
            words.append(quoted.get(value, ""))
    return found, ambiguous, " ".join(words)


def _differ(one, other):
    """Return whether two texts name two clients; one has several notations."""
    return one != other and (address(one) or one) != (address(other) or other)


def phrase(line):
    """Return what a text line says, without its time, level and fields, with numbers as ``#``."""
    head = line[:400]
    for level in ("ERROR", "CRITICAL", "FATAL", "error", "critical"):
        position = head.find(level)
        if 0 <= position < 120:
            head = head[position + len(level) :]
            break
    first = re.search(_FIRST_FIELD, head)
    if first and first.start() > 0:
        head = head[: first.start()]
    return re.sub(_NUMBERS, "#", head.strip(" :-|]")).strip()[:80]


def exception_named(text):
    """Return the type of an exception that a text names, or None."""
    found = re.search(_EXCEPTION, text)
    return found.group(1) if found else None


def route(path):
    """Return a path without its query, with numbers and identifiers in it as ``{id}``."""
    return _IDENTIFIER.sub("/{id}", path.partition("?")[0])[:120]


def kind(text):
    """Return what sort of problem a text in lower case is about, or ``other``."""
    for name, needles in KINDS:
        for needle in needles:
            if needle in text:
                return name
    return "other"


def database_kind(text):
    """Return what a text in lower case says is wrong with the database, or ``other``."""
    for name, needles in DATABASE_KINDS:
        for needle in needles:
            if needle in text:
                return name
    return "other"


def missing_module(text):
    """Return the module or shared library that an import error is about, or None."""
    found = re.search(_MODULE, text)
    if found:
        return next(name for name in found.groups() if name)
    found = re.search(_SHARED_LIBRARY, text)
    return found.group(1) if found else None


def is_rate_limit(text, status=None, client=None):
    """Return whether a line in lower case says that an API limits the app.

    The app may limit its own clients as well: then it names one of them, or answers 429 itself.

    Args:
        status: the status the app itself answered with, or None.
        client: the address of the client that the line is about, or None.
    """
    if (
        status == 429
        or (client and "zoho" not in text)
        or (re.search(_SETTING, text) and "exceeded" not in text)
    ):
        return False
    return bool(re.search(_RATE_LIMIT, text) or re.search(_STATUS_429, text))


def circuit(text):
    """Return ``open`` or ``closed`` where a line in lower case says that of Zoho's circuit, else
    None.
    """
    if "zoho" not in text and any(other in text for other in _OTHER_CIRCUIT):
        return None
    if re.search(_CIRCUIT_CLOSED, text):
        return "closed"
    return "open" if re.search(_CIRCUIT_OPEN, text) else None


def is_failed_login(text):
    """Return whether a line in lower case reports a client that failed to authenticate."""
    for needle in _AUTH_FAILED:
        if needle in text:
            return "password authentication failed for user" not in text
    return False


def address(text):
    """Return the address that a word of a log names, as the packet filter sees it, or None."""
    return addresses.in_log(text)


def seconds(text, milliseconds=False):
    """Return a duration as seconds, or None: ``1.234``, ``1.234s`` or ``12ms``."""
    text = str(text)
    factor = 0.001 if milliseconds or text.endswith("ms") else 1.0
    try:
        value = float(text.rstrip("ms")) * factor
    except ValueError:
        return None
    return value if 0 <= value < 86400 else None


def duration(known):
    """Return how long what a line is about took, in seconds, or None; known: its fields."""
    if "duration" in known:
        return seconds(known["duration"])
    if "duration_ms" in known:
        return seconds(known["duration_ms"], milliseconds=True)
    if "duration_ns" in known:
        value = seconds(known["duration_ns"], milliseconds=True)
        return None if value is None else value / 1e6
    return None
