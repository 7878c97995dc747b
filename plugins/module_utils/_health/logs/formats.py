# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The formats of log lines that are understood: levels, structured lines, access lines.

A new format is a line in one of the tables. Each is tried from the beginning of the line, over a
bounded part of it, and nothing that a client writes can decide: a level stands where a logger puts
it, a request is the first one in quotes, and names of fields count outside of quotes only.
"""

from __future__ import annotations

import json
import re

ERROR_LEVELS = frozenset(
    "error critical fatal alert emergency exception err severe panic crit emerg".split()
)
_OTHERS = frozenset(
    "debug info notice warning warn trace verbose informational success fine config log".split()
)
#: What happened as it should.
QUIET = _OTHERS - {"warning", "warn"}
#: What some loggers write for a level, in capitals only: these are words or letters as well.
_SHORT = {
    "ERRO": "error",
    "EROR": "error",
    "CRI": "critical",
    "FTL": "fatal",
    "FATA": "fatal",
    "PNC": "panic",
    "PANI": "panic",
    "WRN": "warning",
    "INF": "info",
    "DBG": "debug",
    "DEBU": "debug",
    "DBUG": "debug",
    "TRC": "trace",
    "NOTI": "notice",
}
_LETTERS = {
    "E": "error",
    "F": "fatal",
    "C": "critical",
    "W": "warning",
    "I": "info",
    "D": "debug",
    "N": "notice",
}
_TIME = r"(?:\d{4}[-/]\d\d[-/]\d\d[T ])?\d\d:\d\d:\d\d[\d.,]{0,10}(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
_WORD = r"[A-Za-z]{3,13}"
#: Formats of a text line whose level a fixed position shows. The group is the level, or its number
#: as syslog counts them. Tried in this order; what none fits is read word by word, see ``level``.
LEVELS = tuple(
    re.compile(pattern)
    for pattern in (
        # 2025-10-19 12:00:01,123 ERROR ..; [12:00:01] [ERROR] ..; ERROR: ..; [ERROR] ..
        r"(?:[\[(<]?%s[\])>]?[ \t|:-]{1,4})?[\[(]?([A-Z]{3,13})(?=[\s:\])[|,/-])" % _TIME,
        # the stdlib's "%(name)s - %(levelname)s - %(message)s", also with | or : in between
        r"[\w./<>-]{1,80}(?: - |\s{0,12}\|\s{0,12})\[?([A-Z]{3,13})\]?(?:\s{1,12}-|\s{0,12}\|)",
        r"[\w./<>-]{1,80}:([A-Z]{3,13}):",
        # Celery: [2025-10-19 12:00:01,123: ERROR/MainProcess]
        r"\[%s: ([A-Z]{3,13})/" % _TIME,
        # glog and klog: E1019 12:00:01.123456   77 file.cc:12]; Tornado: [E 251019 12:00:01 web:1]
        r"\[?([EFCWIDN])(?:\d{4}| \d{6}) \d\d:\d\d:\d\d",
        # syslog's priority, as a file has it: <11>1 2025-10-19T12:00:01Z .. or <3>..
        r"<(\d{1,3})>",
    )
)
#: What syslogd writes before a message in a file.
_SYSLOG = re.compile(r"(?:<\d{1,3}>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S{1,255} \S{1,64}: ")
#: After this much of a line there is no level.
_HEAD = 160

#: Names of fields in structured lines, by what they hold; of several the first one counts. A dot
#: stands for an object in an object as well.
NAMES = {
    "event": (
        "event",
        "record.message",
        "message",
        "msg",
        "short_message",
        "@m",
        "@mt",
        "fields.message",
        "body",
        "text",
    ),
    "level": (
        "level",
        "record.level.name",
        "level.name",
        "severity",
        "levelname",
        "log.level",
        "level_name",
        "log_level",
        "loglevel",
        "lvl",
        "severity_text",
        "severityText",
        "SeverityText",
        "@l",
        "levelno",
        "record.level.no",
    ),
    "status_code": (
        "status_code",
        "status",
        "http.response.status_code",
        "http.status_code",
        "http_status",
        "statusCode",
        "response.status",
        "response.status_code",
        "res.statusCode",
        "DownstreamStatus",
    ),
    "path": (
        "path",
        "url.path",
        "http.target",
        "request.path",
        "request.uri",
        "request.url",
        "request_uri",
        "req.url",
        "uri",
        "RequestPath",
        "url.original",
    ),
    "remote_ip": (
        "remote_ip",
        "client_ip",
        "remote_addr",
        "client.ip",
        "source.ip",
        "request.remote_ip",
        "request.client_ip",
        "ClientHost",
        "client",
        "ip",
    ),
    "duration": (
        "duration",
        "elapsed",
        "latency",
        "response_time",
        "request_time",
        "process_time",
        "duration_s",
        "duration_seconds",
        "took",
    ),
    "duration_ms": (
        "duration_ms",
        "elapsed_ms",
        "latency_ms",
        "response_time_ms",
        "responseTime",
        "process_time_ms",
    ),
    #: of the Elastic Common Schema, in nanoseconds
    "duration_ns": ("event.duration", "Duration"),
    "error": ("error", "error.message", "err", "err.message", "record.exception.value"),
    "error_type": ("error.type", "err.type", "record.exception.type", "exception.type"),
    "stack": (
        "exception",
        "exc_info",
        "traceback",
        "stack_trace",
        "stacktrace",
        "stack",
        "exc_text",
        "error.stack_trace",
        "err.stack",
        "text",
    ),
}
_KNOWN: dict = {}
for _name, _keys in NAMES.items():
    for _rank, _key in enumerate(_keys):
        _KNOWN.setdefault(_key, []).append((_name, _rank))
_KNOWN_GET = _KNOWN.get
#: What nested objects may hold of it, and how deep.
_MOST_KEYS, _DEEPEST = 200, 3
#: A JSON line that was cut is searched for these at its beginning and its end.
_SALVAGED = re.compile(
    r'"(level|severity|levelname|log\.level|event|message|msg|status_code|path|remote_ip)"'
    r'\s?:\s?(?:"([^"\\]{0,400})"|(\d{1,6})(?=\s?[,}]))'
)

_REQUEST = re.compile(r'"([A-Z]{3,10}) (\S+)(?: (?:HTTP/)?\d(?:\.\d)?)?" (\d{3})(?=[ ,]|$)')
#: The access lines of uvicorn as it writes them unless it is configured, which most lines are.
_UVICORN = re.compile(
    r'[A-Z]+: +(\S+):\d+ - "([A-Z]+) ([^\s?]+)\S* HTTP/[\d.]+" (\d{3})(?: [A-Za-z\' -]+)?$'
)
_REASON = re.compile(r"(?: [A-Za-z' -]{1,60})?$")
#: ADDRESS - USER [TIME], as Apache, nginx, gunicorn and hypercorn have it; aiohttp and Django less
_COMMON = re.compile(r"(?:(\S{1,64})(?: \S{1,64} \S{1,128})? )?\[\d[^\]]{7,30}\] $")
#: Other access lines: what marks them, and what they say by name.
OTHER_ACCESS = (
    (
        " => generated ",  # uWSGI
        re.compile(
            r"\] (?P<address>\S{1,64}) \([^)]{0,64}\) \{[^}]{0,64}\} \[[^\]]{0,40}\]"
            r" (?P<method>[A-Z]{3,10}) (?P<path>\S+) => generated \d+ bytes in (?P<ms>\d+) msecs"
            r" \(HTTP/[\d.]+ (?P<status>\d{3})\)"
        ),
    ),
    (
        "ms",  # Tornado
        re.compile(
            r"\[[A-Z] \d{6} \d\d:\d\d:\d\d \S{1,80}\] (?P<status>\d{3})"
            r" (?P<method>[A-Z]{3,10}) (?P<path>\S+) \((?P<address>\S{1,64})\)"
            r" (?P<ms>[\d.]{1,12})ms$"
        ),
    ),
)


def _named(word):
    """Return the level that a word in capitals names, in small letters, or None."""
    low = word.lower()
    if low in ERROR_LEVELS or low in _OTHERS:
        return low
    return _SHORT.get(word)


def level(line):
    """Return the level that a logger gave a text line, in small letters, or None."""
    found = LEVELS[0].match(line)
    name = found and _named(found.group(1))
    if name:
        return name
    head = line[:_HEAD]
    prefix = _SYSLOG.match(line)
    if prefix:
        inner = level(line[prefix.end() : prefix.end() + _HEAD])
        if inner:
            return inner
    for form in LEVELS[1:]:
        found = form.match(head)
        if found:
            word = found.group(1)
            if word.isdigit():
                return "error" if int(word) & 7 <= 3 else "info"
            name = _LETTERS.get(word) if len(word) == 1 else _named(word)
            if name:
                return name
    return _by_words(head)


def _by_words(head):
    """Return the level before the message, after nothing but times, names of loggers and
    punctuation, or None.
    """
    for mark in ('"', "="):
        head = head.partition(mark)[0]
    words, stamped = 0, False
    for token in head.replace("[", " ").replace("]", " ").replace("|", " ").split()[:7]:
        word = token.strip("-:(),<>").partition(":")[0]
        low = word.lower()
        if (low in ERROR_LEVELS or low in _OTHERS) and (
            word.isupper() or stamped or token.endswith(":")
        ):
            return low
        if stamped and word in _SHORT:
            return _SHORT[word]
        if stamped and not words and token in _LETTERS:
            return _LETTERS[token]
        if token[0].isdigit():
            stamped = True
        elif token.strip("-:") and not ("." in token or "_" in token):
            # One plain word may be the name of a logger, after a time.
            words += 1
            if words > 1 or not stamped:
                return None
    return None


def is_error(line):
    """Return whether the logger gave a text line the level of an error."""
    return level(line) in ERROR_LEVELS


def structured(line):
    """Return the object of a JSON line, or None."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def salvaged(line):
    """Return the known fields at both ends of a JSON line that was cut, {} for none."""
    found = {}
    for key, text, number in _SALVAGED.findall(line[:2048] + "\n" + line[-1024:]):
        found.setdefault(key, int(number) if number else text)
    return found


def known(entry):
    """Return {name: value} of what the object of a JSON line holds, by the names in ``NAMES``.

    A field that is there and empty counts as not there.
    """
    found, ranks = {}, {}
    for key, value in entry.items():
        if type(value) is dict:
            return known(_flat(entry))
        for name, rank in _KNOWN_GET(key, ()):
            if rank < ranks.get(name, 99) and value is not None and value != "":
                found[name], ranks[name] = value, rank
    return found


def _flat(entry, prefix="", flat=None, depth=1):
    flat = {} if flat is None else flat
    for key, value in entry.items():
        if len(flat) >= _MOST_KEYS:
            break
        if not isinstance(value, dict):
            flat.setdefault(prefix + key, value)
        elif depth < _DEEPEST:
            _flat(value, prefix + key + ".", flat, depth + 1)
    return flat


def is_structured_error(entry, found):
    """Return whether a structured line reports an error: by its level, else by what it holds.

    Args:
        entry: the object of the line.
        found: what is known of it.
    """
    error = is_error_level(found["level"], entry) if "level" in found else None
    if error is not None:
        return error
    return bool(
        found.get("error")
        or entry.get("error")
        or found.get("error_type")
        or entry.get("exception")
    ) or str(found.get("event") or "").endswith(("_failed", "_error", "_failure"))


def is_error_level(value, entry=()):
    """Return whether the level of a structured line is that of an error; None: it is no level.

    Python and the loggers after it count upwards to 50, syslog down to 0, and pino calls 40 a
    warning.

    Args:
        value: of the field.
        entry: the names of all fields: pino has ``v`` or ``hostname`` beside ``pid``.
    """
    if isinstance(value, bool):
        return None
    text = str(value)
    if text.isdigit() and len(text) < 4:
        number = int(text)
        if number <= 7:
            return number <= 3
        return number >= (50 if "pid" in entry and ("v" in entry or "hostname" in entry) else 40)
    low = text.lower()
    if low in ERROR_LEVELS:
        return True
    if low in _OTHERS or text.upper() in _SHORT:
        return _SHORT.get(text.upper()) in ERROR_LEVELS
    return None


def is_understood(found):
    """Return whether what is known of a structured line says if it reports an error."""
    return "level" in found or "event" in found or "status_code" in found


def access(line):
    """Return (address or None, method, path without query, status, seconds or None) of an access
    line of a server, or None.
    """
    found = _UVICORN.match(line)
    if found is not None:
        address, method, path, status = found.groups()
        return address, method, path, int(status), None
    start = line.find('"')
    found = _REQUEST.match(line, start) if start >= 0 else None
    if found is None:
        return _other_access(line)
    method, path, status = found.groups()
    head = line[max(0, start - 400) : start]
    if head.endswith(" - "):
        # uvicorn: LEVEL: ADDRESS:PORT - "..; behind a socket there is no address
        if not _REASON.match(line, found.end()):
            return None
        client = head[:-3].rstrip().rpartition(" ")[2]
        address, colon, port = client.rpartition(":")
        if colon and not port:
            address = None
        elif not port.isdigit() or not colon:
            return None
    else:
        common = _COMMON.search(head)
        if common is None:
            return None
        address = common.group(1)
        if address and _named(address.partition(":")[0]):
            address = address.split(":", 2)[-1]  # LEVEL:LOGGER:, before it
        if address and address.count(":") == 1:
            address = address.partition(":")[0]
        if address in ("-", "unix", ""):
            address = None
    return address, method, path.partition("?")[0], int(status), None


def _other_access(line):
    for mark, form in OTHER_ACCESS:
        if mark in line:
            found = form.search(line[:4096])
            if found:
                method, path, status = found.group("method", "path", "status")
                seconds = float(found.group("ms").rstrip(".") or 0) / 1000
                return (
                    found.group("address"),
                    method,
                    path.partition("?")[0],
                    int(status),
                    seconds,
                )
    return None
