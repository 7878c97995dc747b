# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python's tracebacks, line by line: many lines, chains and groups of exceptions are one."""

from __future__ import annotations

import re

HEADER = "Traceback (most recent call last):"
_FRAME = re.compile(r'\s*File "([^"]{1,300})", line (\d+)(?:, in (.{1,100}))?')
#: A type of a module, or one that begins with a capital: where a line was lost, asyncio may go on
#: with ``socket: <...>``.
_RAISED = re.compile(r"((?:[A-Z_]\w*|[A-Za-z_]\w*(?:\.\w+)+)(?:\[\w+\])?)(?::\s?(.*))?$", re.S)
_CHAIN = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python")
_BEGINNINGS = tuple("{[0123456789")
_LEVELS = ("INFO:", "WARNING:", "DEBUG:", "ERROR:", "CRITICAL:")
#: what a group of exceptions puts before its lines
_BRANCH = re.compile(r"\s*[|+] ?")
#: Lines checked after an exception's own line: its message may be of several lines before a chain
#: goes on
_TIMEOUT = 12
_MOST_LINES = 5000
#: what ends a process on purpose
_NO_FAULT = ("KeyboardInterrupt", "SystemExit", "CancelledError", "GeneratorExit")


def is_chain(line):
    """Return whether a line says that the next traceback belongs to the one above."""
    return line.strip(" |") in _CHAIN


def is_outside(line):
    """Return whether a line begins as loggers do, so that it is no part of a traceback."""
    return line[:1] in _BEGINNINGS or line.startswith(_LEVELS)


class Traceback:
    """A traceback that is being read.

    Attributes:
        type: of the exception that was raised last, of a group its first leaf; None before it is
            known.
        message: its message, first line.
        location: ``file:line:function`` of its innermost frame.
        caller: the same of the innermost frame outside installed libraries, if that is another one.
        causes: the types of the exceptions it was raised from, the first one first.
        done: whether the exception's own line was read.
    """

    def __init__(self):
        self.type = None
        self.message = ""
        self.location = None
        self.caller = None
        self.causes = []
        self.done = False
        self._frame = None
        self._own_frame = None
        self._group = False
        self._leaf = False
        self._after = 0
        self._lines = 0
        self._expect_header = False

    @property
    def is_fault(self):
        """Return whether it reports something unexpected, not a process that was ordered to
        end.
        """
        return bool(self.type) and self.type.rpartition(".")[2] not in _NO_FAULT

    def feed(self, line):
        """Take the next line of the same process; return ``more``, ``seen`` or ``end``.

        ``seen``: the line may belong to the exception's message, it may as well be a separate one.
        ``end``: the line does not belong to it.
        """
        self._lines += 1
        if self._lines > _MOST_LINES:
            return "end"
        if line.endswith(HEADER):
            return self._header(line)
        if self._group and line.lstrip()[:1] in ("|", "+"):
            self._inside(_BRANCH.sub("", line, count=1))
            return "more"
        if self.done:
            return self._trailing(line)
        if line[:1] in (" ", "\t"):
            self._remember(line)
            return "more"
        if not line:
            return "more"
        return "more" if self._raised(line) else "end"

    def _header(self, line):
        if self._group and line.lstrip()[:1] in ("|", "+"):
            return "more"
        if self.done and not self._expect_header:
            return "end"
        if self.done and self.type:
            self.causes = (self.causes + [self.type])[-8:]
        self.done = self._expect_header = self._leaf = False
        self._frame = self._own_frame = None
        self._after = 0
        self._group = "Exception Group" in line
        return "more"

    def _trailing(self, line):
        if is_chain(line):
            self._expect_header = True
            return "more"
        if self._expect_header and not line.strip():
            return "more"
        self._after += 1
        self._group = False  # its branches are over: the next group is another one
        return "end" if self._after > _TIMEOUT else "seen"

    def _inside(self, line):
        if line[:1] in (" ", "\t"):
            self._remember(line)
        elif line and not is_chain(line) and line[0] not in "-+":
            self._raised(line)

    def _remember(self, line):
        found = _FRAME.match(line)
        if found:
            self._frame = found.groups()
            if (
                not any(directory in found.group(1) for directory in _LIBRARIES)
                and found.group(1)[0] != "<"
            ):
                self._own_frame = self._frame

    def _raised(self, line):
        found = _RAISED.match(line)
        if found is None:
            return False
        name, message = found.groups()
        is_leaf = self._group and not name.endswith("ExceptionGroup")
        if self._group and self._leaf:
            return True
        if not self._group or is_leaf or self.type is None or not self.done:
            self.type = name[:120]
            self.message = (message or "").split("\n")[0][:300]
            self.location = _location(self._frame)
            self.caller = _location(self._own_frame) if self._own_frame != self._frame else None
        self._leaf = is_leaf
        self.done = True
        return True


def _location(frame):
    return "%s:%s:%s" % (frame[0], frame[1], frame[2] or "?") if frame else None


def parse(text):
    """Return the Traceback that a text of many lines holds, or None."""
    position = text.find(HEADER)
    if position < 0:
        return None
    reading = Traceback()
    for line in text[text.rfind("\n", 0, position) + 1 :].split("\n"):
        if reading.feed(line) == "end":
            break
    return reading if reading.type else None
