# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the body of a health endpoint says: of the service, and of each component (pure).

There is no standard that all follow, so it is read by a table of words, in the shapes of
``application/health+json``, Spring, .NET, and what services write themselves. A word that is in no
table says nothing: it is neither good nor bad.
"""

from __future__ import annotations

import json
import re
from collections import namedtuple

#: ``WARN`` is good with concerns, as ``health+json`` has it: the service is to be used.
GOOD, WARN, BAD, UNKNOWN, UNUSED = "good", "warn", "bad", "unknown", "unused"

_WORDS = {
    GOOD: "connected authenticated ok okay healthy up ready available alive live true pass passed"
    " passing running green success successful serving operational pong online active normal good"
    " reachable established yes",
    WARN: "warn warning yellow amber",
    BAD: "disconnected down error errors fail failed failing failure unhealthy unavailable"
    " unreachable degraded unauthenticated unauthorized expired false dead critical red timeout"
    " timedout refused offline invalid stopped broken denied lost missing rejected exception outage"
    " unknownhost throttled limited throttling crashed no forbidden",
    UNUSED: "disabled unconfigured none null off skipped unused",
}
_VERDICTS = {word: verdict for verdict, words in _WORDS.items() for word in words.split()}
_PHRASES = {
    "not configured": UNUSED,
    "not used": UNUSED,
    "not enabled": UNUSED,
    "rate limited": BAD,
    "timed out": BAD,
    "out of service": BAD,
    "partial outage": BAD,
    "major outage": BAD,
    "quota exceeded": BAD,
    "all good": GOOD,
    "all systems operational": GOOD,
}
#: Anywhere in a longer text, if nothing before it denies it.
_TELLING = frozenset(
    "false refused unreachable timeout failed exception denied unavailable disconnected".split()
)
_DENIALS = frozenset("no not without 0 never zero".split())
#: Where a service puts the word of a thing, the first that is there.
_STATUS_KEYS = (
    "status",
    "state",
    "health",
    "healthy",
    "ok",
    "up",
    "alive",
    "ready",
    "connected",
    "available",
    "online",
    "success",
    "result",
)
#: What a text may say beside, if it is a word of the tables.
_REMARKS = ("message", "msg")
#: Whose entries are components, whatever they are called, and where only known ones count.
_CONTAINERS = ("dependencies", "components", "checks", "services", "entries", "subsystems")
_DETAILS = ("details", "info", "results")
_WRAPPERS = ("data", "result", "response", "health", "body")
_NAME_KEYS = ("name", "component", "service", "id", "key")
#: Names of the components that the app depends on.
_ALIASES = {
    "database": "database|db|postgres|postgresql|pg|sql|datasource",
    "redis": "redis|valkey|cache",
    "zoho": "zoho|zoho[ _]?crm|crm",
    "cognee": "cognee",
}
_SUFFIX = (
    r"(?:[ _.-]?(?:online|connected|connection|healthy|health|status|state|ok|up|alive|available"
    r"|ready|reachable|check))?"
)
_KNOWN = [
    (name, re.compile(r"(?:%s)%s(?::.*)?\Z" % (aliases, _SUFFIX), re.I))
    for name, aliases in _ALIASES.items()
]
#: A hostile body is no reason to read for ever.
_DEEPEST = 5
_MOST = 200
_LONGEST = 80


class Report(namedtuple("Report", ["verdict", "word", "components"])):
    """What a body says.

    Attributes:
        verdict: of the service itself; None where the body does not say.
        word: its own word for that.
        components: {name: (verdict, word)}; the four dependencies of the app by their own names.
    """

    __slots__ = ()

    def of(self, verdict):
        """Return {name: word} of the components with this verdict."""
        return {name: word for name, (found, word) in self.components.items() if found == verdict}


def parse(text):
    """Return the ``Report`` of a body, or None where it is no health report: HTML, a list."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = text.strip()
        # ``OK`` as plain text.
        if judge(body)[0] not in (GOOD, WARN, BAD):
            return None
    if isinstance(body, dict):
        return read(body)
    if isinstance(body, (str, bool)) and body != "":
        return Report(*judge(body), components={})
    return None


def read(body):
    """Return the ``Report`` of a JSON object."""
    for name in _WRAPPERS:
        inner = body.get(name)
        if len(body) == 1 and isinstance(inner, dict):
            return read(inner)
    verdict, word = _stated(body)
    if verdict is None:
        for name in _REMARKS:
            found = judge(body[name]) if isinstance(body.get(name), str) else (None, None)
            if found[0] in (GOOD, WARN, BAD):
                verdict, word = found
    return Report(verdict, word, dict(_components(body)))


def _stated(thing):
    """Return (verdict, word) of an object's own status; (None, None) where it has none."""
    for key in _STATUS_KEYS:
        value = thing.get(key)
        if isinstance(value, dict) or value is None:
            continue
        verdict, word = judge(value)
        if isinstance(value, bool) and key not in ("status", "state", "health", "result"):
            word = key if value else "not " + key
        return verdict, word
    return None, None


def _components(body):
    """Yield (name, (verdict, word)) of the components; a later one of a name wins."""
    found = {}
    for key, value in list(body.items())[:_MOST]:
        name = _known(key)
        if name and key not in _CONTAINERS:
            _add(found, name, judge(value))
        elif key in _CONTAINERS:
            for inner, item in _entries(value):
                # Of a thing that is not known, a figure is a figure: {"uptime": 0} is not down.
                if _known(inner) or not _is_figure(item):
                    _add(found, _known(inner) or inner, judge(item))
        elif key in (*_DETAILS, *_WRAPPERS) and isinstance(value, (dict, list)):
            for inner, item in _entries(value):
                if _known(inner):
                    _add(found, _known(inner), judge(item))
    return found.items()


def _is_figure(item):
    if isinstance(item, str):
        return item[:1].isdigit()
    return isinstance(item, (int, float)) and not isinstance(item, bool)


def _add(found, name, seen):
    """Keep the worst of what is said of one component; None says nothing."""
    order = (UNUSED, GOOD, WARN, UNKNOWN, BAD)
    if seen[0] is None:
        return
    if name not in found or order.index(seen[0]) > order.index(found[name][0]):
        found[name] = seen


def _known(key):
    return next((name for name, pattern in _KNOWN if pattern.match(str(key)[:_LONGEST])), None)


def _entries(value):
    """Yield (name, item) of the components in a dictionary or a list."""
    if isinstance(value, dict):
        yield from [(str(name)[:_LONGEST], item) for name, item in value.items()][:_MOST]
    elif isinstance(value, list):
        for item in value[:_MOST]:
            if isinstance(item, dict):
                name = next((item[key] for key in _NAME_KEYS if isinstance(item.get(key), str)), "")
                yield name[:_LONGEST] or "a component", item


def judge(value, depth=0):
    """Return (verdict, word) of what is said of one thing; (None, None) where nothing is."""
    if value is None or depth > _DEEPEST:
        return None, None
    if isinstance(value, bool):
        return (GOOD, "true") if value else (BAD, "false")
    if isinstance(value, (int, float)):
        return _number(value), str(value)[:_LONGEST]
    if isinstance(value, str):
        return _text(value), value.strip()[:_LONGEST]
    found = {}
    if isinstance(value, dict):
        stated = _stated(value)
        _add(found, "", stated)
        if stated[0] is None and isinstance(value.get("error"), str) and value["error"]:
            _add(found, "", (BAD, "error: " + value["error"][:_LONGEST]))
        inner = [item for key in _CONTAINERS for _name, item in _entries(value.get(key))]
        if stated[0] is None and not inner:
            inner = [item for item in value.values() if isinstance(item, (dict, list))]
    else:
        inner = value
    for item in list(inner)[:_MOST]:
        _add(found, "", judge(item, depth + 1))
    return found.get("", (None, None))


def _number(value):
    """0 and 1 are used as false and true, and a status of HTTP as such."""
    if value in (0, 1):
        return GOOD if value else BAD
    if 200 <= value < 300:
        return GOOD
    return BAD if 400 <= value < 600 else UNKNOWN


def _text(text):
    """Return the verdict on a text: a word, which a figure or an explanation may follow."""
    text = re.sub(r"[\s_-]+", " ", text[: 2 * _LONGEST].strip().lower())
    if re.match(r"[0-9]+\Z", text):
        return _number(int(text))
    # "connected (3 ms)", "ok: 3 keys", "connected, 3 ms", "up 3d"
    head = re.split(r"[(:,;|\[{.!]", text, maxsplit=1)[0]
    head = re.sub(r" [0-9].*\Z", "", head.strip()).strip()
    verdict = _PHRASES.get(head) or _VERDICTS.get(head) or _VERDICTS.get(head.replace(" ", ""))
    words = re.findall(r"[a-z0-9]+", text)
    if verdict == GOOD and _tells(words):
        return BAD
    if verdict:
        return verdict
    first, second = (words + ["", ""])[:2]
    if first in ("no", "not"):
        # "not connected" and "no connection" are bad, "no errors" is not known to be good.
        bad = _VERDICTS.get(second) == GOOD or second in ("connection", "answer", "response")
        return BAD if bad else UNKNOWN
    if _VERDICTS.get(first) == BAD and first not in _DENIALS:
        return BAD
    return BAD if _tells(words) else UNKNOWN


def _tells(words):
    """Return whether a word anywhere says that the thing is bad, and the one before does not deny
    it.
    """
    pairs = zip([""] + words, words)
    return any(word in _TELLING and before not in _DENIALS for before, word in pairs)
