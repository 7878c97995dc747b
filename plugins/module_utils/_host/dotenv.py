# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An app's .env file: its lines as they are, and its values as python-dotenv and systemd read them.

Both read the same file and disagree on inline comments, ``export``, backslashes and quotes. The
lines keep their exact text, so that joining them gives the file again and a value can be replaced
in its place.
"""

from __future__ import annotations

import re
from collections import namedtuple

_EXPORT = re.compile(r"(?:export[^\S\r\n]+)?")
_KEY = re.compile(r"(?:'(?P<quoted>[^']+)'|(?P<name>(?!')[^=#\s]+))[^\S\r\n]*")
_VALUE = re.compile(
    r"""'(?P<single>(?:\\.|[^'\\])*)'|"(?P<double>(?:\\.|[^"\\])*)"|(?P<plain>(?!['"])[^\r\n]*)""",
    re.S,
)
_INLINE_COMMENT = re.compile(r"\s+#.*")
_TRAILER = re.compile(r"[^\S\r\n]*(?:#[^\r\n]*)?(?:\r\n|\r|\n|\Z)")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_BLANK = re.compile(r"[^\S\r\n]*")
_ESCAPED = {"single": re.compile(r"\\([\\'])"), "double": re.compile(r"\\([\\'\"abfnrtv])")}
_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
#: What python-dotenv replaces by another value, whatever the quotes.
REFERENCE = re.compile(r"\$\{(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?\}")
#: What some editors put before the first character of a file. It is part of the first name to
#: systemd, and to python-dotenv before ``MARK_ACCEPTED``.
MARK = "\ufeff"
MARK_ACCEPTED = (1, 2, 3)
#: What a shell and systemd take as the name of a variable.
VALID_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SYSTEMD_SPACE = " \t\n\r"
#: What systemd unescapes within double quotes; a backslash before anything else stays.
_SYSTEMD_ESCAPES = '"\\`$'


class Line(
    namedtuple(
        "Line",
        ["text", "number", "name", "value", "start", "end", "export", "error"],
        defaults=[None, None, 0, 0, False, None],
    )
):
    """One statement of the file; it spans several lines where a quoted value does.

    Attributes:
        text: exactly as it stands in the file, with its end of line.
        number: that of its first line, from 1.
        name: the variable it sets, None for a comment, an empty line and a malformed one.
        value: its value for python-dotenv before references are resolved; None where there is no
            ``=``.
        start: where the raw value, quotes included, begins in the text.
        end: where it ends.
        export: whether the word ``export`` stands before it.
        error: what is wrong with it, or None.
    """

    __slots__ = ()


def parse(text):
    """Return the file as a list of ``Line``, in the grammar of python-dotenv."""
    lines = []
    position = number = 0
    while position < len(text):
        line = _parse_line(text, position, number + 1)
        lines.append(line)
        position += len(line.text)
        number += len(re.findall(r"\r\n|\r|\n", line.text))
    return lines


def _parse_line(text, position, number):
    rest = _LINE.match(text, position).group()
    begin = _BLANK.match(text, position).end()
    if text.startswith("#", begin) or not rest.strip():
        return Line(rest, number)
    exported = _EXPORT.match(text, begin).end()
    key = _KEY.match(text, exported)
    if not key:
        return Line(rest, number, error="no name before the =")
    name, value, start, stop = key.group("quoted") or key.group("name"), None, 0, key.end()
    if text.startswith("=", stop):
        start = _BLANK.match(text, stop + 1).end()
        match = _VALUE.match(text, start)
        if not match:
            return Line(rest, number, error="a quote that is not closed")
        kind = match.lastgroup
        value, stop = match.group(kind), match.end()
        if kind == "plain":
            # "NAME= # comment" sets nothing, "NAME=#value" does (python-dotenv 1.2).
            commented = start > key.end() + 1 and value.startswith("#")
            value = "" if commented else _INLINE_COMMENT.sub("", value).rstrip()
            stop = start + len(value)
        else:
            value = _ESCAPED[kind].sub(
                lambda found: _CONTROL.get(found.group(1), found.group(1)), value
            )
    trailer = _TRAILER.match(text, stop)
    if not trailer:
        return Line(rest, number, error="text after the value" if start else "no = after the name")
    return Line(
        text[position : trailer.end()],
        number,
        name,
        value,
        start - position if start else 0,
        stop - position if start else 0,
        exported > begin,
        None if start else "no = after the name",
    )


def dotenv_values(lines, environment=None):
    """Return {name: value} as python-dotenv gives them, ``${NAME}`` references resolved.

    Args:
        lines: of ``parse``.
        environment: {name: value} of the process: a reference finds there what the file has not
            set above it.
    """
    values = {}

    def resolved(found):
        # The default counts for a name that is not set, not for one that is set to nothing.
        name = found.group("name")
        default = found.group("default") or ""
        return (values[name] if name in values else (environment or {}).get(name, default)) or ""

    for line in lines:
        if line.name is not None:
            values[line.name] = line.value and REFERENCE.sub(resolved, line.value)
    return {name: value for name, value in values.items() if value is not None}


def systemd_values(text, comments_join=False):
    """Return {name: value} as systemd's ``EnvironmentFile=`` reads them (systemd.exec(5)).

    Args:
        text: of the file.
        comments_join: as before systemd 254, where a backslash at the end of a comment makes the
            next line part of it.

    Names that cannot be those of variables (``export NAME``) are dropped there, so they are here.
    """
    values = {}
    state, key, value, keep = "before", "", "", 0
    # A file that ends without an end of line ends its last statement all the same.
    for char in text + "\n":
        newline = char in "\r\n"
        if state == "before":
            if char in "#;":
                state = "comment"
            elif char not in _SYSTEMD_SPACE:
                state, key, value, keep = "key", char, "", 0
        elif state == "key":
            if newline:
                state = "before"
            elif char == "=":
                state = "between"
            else:
                key += char
        elif state == "comment":
            if newline:
                state = "before"
            elif char == "\\" and comments_join:
                state = "comment escape"
        elif state == "comment escape":
            state = "comment"
        elif state in ("between", "value"):
            if newline:
                # Spaces at the end of an unquoted part are not of the value, those of a quoted one
                # are.
                values[key.rstrip(_SYSTEMD_SPACE)] = value[:keep] if state == "value" else value
                state = "before"
            elif char == "\\":
                state = "escape"
            elif state == "between" and char in "'\"":
                state = char
            elif state == "value" or char not in _SYSTEMD_SPACE:
                state = "value"
                value += char
                if char not in _SYSTEMD_SPACE:
                    keep = len(value)
        elif state == "escape":
            # A backslash before the end of a line joins the next one.
            state = "value"
            if not newline:
                value += char
            keep = len(value)
        elif state == "'":
            if char == "'":
                state = "between"
            else:
                value += char
        elif state == '"':
            if char == '"':
                state = "between"
            elif char == "\\":
                state = '"escape'
            else:
                value += char
        else:
            state = '"'
            if char in _SYSTEMD_ESCAPES:
                value += char
            elif not newline:
                value += "\\" + char
    if state in ("'", '"', '"escape', "between", "value", "escape"):
        # systemd takes what there is of a quote that is never closed.
        values[key.rstrip(_SYSTEMD_SPACE)] = value[:-1] if state in ("'", '"') else value
    return {name: item for name, item in values.items() if VALID_NAME.match(name)}
