# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events in the app's log that are named by an expression: the shipped ones and the operator's."""

from __future__ import annotations

import re
import time

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.tallies import Event

SEVERITIES = ("warn", "fail")
_FAILED = r"(?:fail|error|abort)"
#: name: what the words of a line have in them, in lower case, without what a client wrote.
SHIPPED = {
    "agent_sessions": r"agent[ _.-]?session.{0,40}%s|%s.{0,30}agent[ _.-]?session"
    % (_FAILED, _FAILED),
    "account_syncs": (
        r"\bsync\w{0,12}[ _-](?:has |was )?%s|account[ _.-]?sync.{0,40}%s"
        r"|%s\w{0,4} (?:to )?(?:\w{1,20} ){0,2}sync"
    )
    % (_FAILED, _FAILED, _FAILED),
    "memory_queries": (
        r"memory[ _.-]?(?:quer|search|lookup|recall|retriev).{0,40}%s"
        r"|%s.{0,30}memory[ _.-]?(?:quer|search|lookup|recall|retriev)"
    )
    % (_FAILED, _FAILED),
}
_MOST, _LONGEST = 20, 300
#: Of a line so much is searched with an operator's expression, and no expression may take more
#: steps on that than this; all of them together may take so long in a survey.
_SEARCHED, _MOST_STEPS, _SECONDS = 400, 10**8, 1.0
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


class Patterns:
    """Counts of the lines that each expression finds.

    Attributes:
        exhausted: whether the operator's expressions took too long, so that not every line was
            searched with them.
    """

    def __init__(self, own=()):
        """Args: own: of the operator, [(name, compiled expression, severity)]; a name of a shipped
        one replaces it.
        """
        names = {name for name, _expression, _severity in own}
        self._shipped = [
            (re.compile(expression), Event())
            for name, expression in SHIPPED.items()
            if name not in names
        ]
        self._own = [(expression, Event()) for _name, expression, _severity in own]
        self._named = [(name, "warn") for name in SHIPPED if name not in names]
        self._named += [(name, severity) for name, _expression, severity in own]
        self._seconds = 0.0
        self.exhausted = False

    def match(self, at, invocation, line, words):
        """Take a line that is no request; words: what it says, in lower case, without what a client
        wrote.
        """
        if "fail" in words or "error" in words or "abort" in words:
            for expression, event in self._shipped:
                if expression.search(words, 0, 2000):
                    event.add(at, line, invocation)
        if not self._own or self.exhausted:
            return
        started = time.perf_counter()
        for expression, event in self._own:
            if expression.search(line, 0, _SEARCHED):
                event.add(at, line, invocation)
        self._seconds += time.perf_counter() - started
        self.exhausted = self._seconds > _SECONDS

    def result(self, resolved=()):
        """Return what was seen as plain data, without what resolved invocations wrote."""
        events = [event for _expression, event in self._shipped + self._own]
        found = []
        for (name, severity), event in zip(self._named, events):
            seen = event.plain(without=resolved)
            if seen:
                found.append(dict(seen, name=name, severity=severity, shipped=name in SHIPPED))
        return found


def compiled(given):
    """Return [(name, compiled expression, severity)] of the option ``log_patterns``.

    Raises:
        InvalidValue: one cannot be; the message names it, the value and what is allowed.
    """
    if len(given) > _MOST:
        raise InvalidValue("log_patterns: %d of them, at most %d are allowed" % (len(given), _MOST))
    result = []
    for entry in given:
        name, text, severity = entry["name"], entry["pattern"], entry.get("severity") or "warn"
        if not _NAME.match(name):
            raise InvalidValue(
                "log_patterns: name %r is not allowed, it begins with a small letter and has up to"
                " 40 of small letters, digits and _" % name
            )
        if name in [other[0] for other in result]:
            raise InvalidValue("log_patterns: name %r is there twice" % name)
        if severity not in SEVERITIES:
            raise InvalidValue(
                "log_patterns.%s: severity %r is not one of %s"
                % (name, severity, ", ".join(SEVERITIES))
            )
        result.append((name, _compile(name, text), severity))
    return result


def _compile(name, text):
    if not 0 < len(text) <= _LONGEST:
        raise InvalidValue(
            "log_patterns.%s: pattern of %d characters, 1 to %d are allowed"
            % (name, len(text), _LONGEST)
        )
    try:
        expression = re.compile(text, re.I)
        steps = _steps(_parser().parse(text)) * _SEARCHED
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise InvalidValue("log_patterns.%s: pattern %r is no expression: %s" % (name, text, error))
    if steps > _MOST_STEPS:
        raise InvalidValue(
            "log_patterns.%s: pattern %r may take too long on a long line: at most two of * and +"
            " are allowed, none within another, and no reference to a group" % (name, text)
        )
    return expression


def _parser():
    # Python 3.11 has renamed it; only operators with expressions need it.
    parser = getattr(re, "_parser", None)
    if parser is None:
        import sre_parse as parser
    return parser


def _steps(parsed):
    """Return how many ways there are at most for a parsed expression to match from one position."""
    steps = 1
    for operation, argument in parsed:
        name = str(operation)
        if name.startswith("GROUPREF"):
            return float("inf")
        if name == "BRANCH":
            steps *= sum(_steps(branch) for branch in argument[1])
        elif name == "SUBPATTERN":
            steps *= _steps(argument[-1])
        elif name == "ATOMIC_GROUP":
            steps *= _steps(argument)
        elif name in ("ASSERT", "ASSERT_NOT"):
            steps *= _steps(argument[1])
        elif name.endswith("_REPEAT"):
            least, most, body = argument
            most = min(int(most), _SEARCHED)
            inner = _steps(body)
            if inner > 1 and most > 1:
                steps *= float(inner) ** most if most * len(str(inner)) < 300 else float("inf")
            if most > least:
                steps *= most - least + 1
    return steps
