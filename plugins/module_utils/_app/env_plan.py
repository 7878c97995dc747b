# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a .env file becomes when variables are set and removed: text in, text out.

A value is written in a form that systemd's ``EnvironmentFile=``, python-dotenv and a shell's
``source`` read alike. Lines that are not to be changed keep their text. The result is read again as
all of them read it, and refused if it says anything else than it should.
"""

from __future__ import annotations

import re
from typing import List, NamedTuple

from ansible_collections.sergas.ops.plugins.module_utils._app import env_readings, env_values
from ansible_collections.sergas.ops.plugins.module_utils._app.env_values import Refused
from ansible_collections.sergas.ops.plugins.module_utils._host import dotenv, dotenv_masking

_COMMENT = re.compile(r"(?:^|\s)(#[^\r\n]*)")


class Plan(NamedTuple):
    """What the file becomes, and what that changes; all lists are in the file's order."""

    text: str
    changed: List[str]
    repaired: List[str]
    removed: List[str]
    #: (name, number of the line) of the assignments that a later one overrode
    dropped: List[tuple]


def plan(text, values, absent=(), repair=False, by_systemd=True):
    """Return the ``Plan`` of a file.

    Args:
        text: of the file as it is.
        values: {name: text} to set.
        absent: the names to remove.
        repair: whether the other variables, too, are written so that all read what python-dotenv
            reads, and set once; what cannot be stays.
        by_systemd: whether systemd reads the file. If not, ``export`` and inline comments stay
            where they are, and what systemd would read does not matter.

    Raises:
        Refused: for a name or a value that cannot be, and where the rest of the file is in the way.
    """
    _refuse_names(values, absent)
    # A byte order mark is part of the first name to systemd, and to most versions of python-dotenv.
    text = text[len(dotenv.MARK) :] if text.startswith(dotenv.MARK) else text
    writings = {}
    for name, value in values.items():
        try:
            writings[name] = env_values.forms(value)
        except Refused as error:
            raise Refused("%s cannot be set to this value: %s" % (name, error))
    others = _to_repair(text, set(values) | set(absent), by_systemd) if repair else {}
    if others:
        try:
            return _edit(text, dict(values, **others), writings, absent, set(others), by_systemd)
        except Refused:
            # Something else in the file prevents it. It is reported; what was requested comes
            # first.
            pass
    return _edit(text, values, writings, absent, set(), by_systemd)


def _refuse_names(values, absent):
    for name in list(values) + list(absent):
        if not dotenv.VALID_NAME.match(name):
            raise Refused(
                "%r is no name of a variable: letters, digits and _ are, and no digit comes first"
                % name
            )
    both = [name for name in values if name in absent]
    if both:
        raise Refused("%s: both in values and in absent" % ", ".join(both))


def _to_repair(text, requested, by_systemd):
    """Return {name: value} of variables that are set twice or read differently, and need not be."""
    lines = dotenv.parse(text)
    by_dotenv, systemd = dotenv.dotenv_values(lines), dotenv.systemd_values(text)
    numbers = {}
    for line in lines:
        if line.name is not None:
            numbers.setdefault(line.name, []).append(line)
    found = {}
    for name, own in numbers.items():
        value = own[-1].value
        if (
            name in requested
            or value is None
            or not dotenv.VALID_NAME.match(name)
            or _referred(lines, own)
        ):
            continue
        if len(own) == 1 and (not by_systemd or systemd.get(name) == by_dotenv.get(name)):
            continue
        try:
            env_values.forms(value)
        except Refused:
            continue
        found[name] = value
    return found


def _referred(lines, own):
    """Return whether a value between the first and the last of these lines refers to their
    variable.
    """
    return any(
        line.value
        and own[0].number < line.number <= own[-1].number
        and found.group("name") == own[0].name
        for line in lines
        for found in dotenv.REFERENCE.finditer(line.value or "")
    )


def _edit(text, values, writings, absent, repaired, by_systemd):
    lines = dotenv.parse(text)
    own = {}
    for line in lines:
        name = dotenv_masking.named(line)
        if name in values or name in absent:
            own.setdefault(name, []).append(line)
    kept = {}
    for name in values:
        if name in own:
            # The last one counts, but a reference needs its variable above it.
            kept[name] = own[name][0 if _referred(lines, own[name]) else -1]
    parts, changed, removed, dropped = [], [], [], []
    for line in lines:
        name = dotenv_masking.named(line)
        if name in absent:
            if name not in removed:
                removed.append(name)
        elif name not in values:
            parts.append(line.text)
        elif line is not kept[name]:
            dropped.append((name, line.number))
        else:
            after = _written(
                line, name, writings.get(name) or env_values.forms(values[name]), by_systemd
            )
            if after != line.text or len(own[name]) > 1:
                changed.append(name)
            parts.append(after)
    new = [name for name in values if name not in own]
    result = _with_new("".join(parts), {name: writings[name][0] for name in new})
    _verify(text, result, values, absent, by_systemd)
    return Plan(
        result,
        [name for name in changed if name not in repaired] + new,
        [name for name in changed if name in repaired],
        removed,
        dropped,
    )


def _written(line, name, writings, by_systemd):
    """Return the text of a line that sets its variable to a value; the line's own text if it
    does.
    """
    raw = line.text[line.start : line.end] if line.start else None
    before, after = line.text[: line.start], line.text[line.end :]
    export = "" if by_systemd else r"(?:export[^\S\r\n]+)?"
    trailer = r"[ \t]*\n?\Z" if by_systemd else r"(?:[ \t]*|[ \t]+#[^\r\n]*)\n?\Z"
    if (
        raw in writings
        and re.match(r"[ \t]*%s%s=\Z" % (export, re.escape(name)), before)
        and re.match(trailer, after)
    ):
        return line.text
    indent = re.match(r"[ \t]*", line.text).group()
    exported = "export " if line.export and not by_systemd else ""
    quote = raw[0] if raw and raw[0] in "'\"" else ""
    writing = next((item for item in writings if quote and item.startswith(quote)), writings[0])
    # What follows a malformed value may be part of it.
    comment = _COMMENT.search(after if line.start else line.text) if line.name is not None else None
    comment = comment.group(1).rstrip() if comment else ""
    above = beside = ""
    if comment and by_systemd:
        # Before systemd 254, a backslash at its end would hide the line below.
        above = "%s%s%s\n" % (indent, comment, " " if comment.endswith("\\") else "")
    elif comment:
        beside = "  " + comment
    return "%s%s%s%s=%s%s\n" % (above, indent, exported, name, writing, beside)


def _with_new(text, writings):
    """Return the text with new variables: below where they are commented out, else at the end."""
    for name, writing in writings.items():
        statement = "%s=%s\n" % (name, writing)
        position = len(text)
        offset = 0
        for line in dotenv.parse(text):
            offset += len(line.text)
            # A comment that ends in a backslash goes on in the next line (systemd before 254).
            if re.match(
                r"[ \t]*#[# \t]*(?:export\s+)?%s[ \t]*=[^\r\n]*(?<!\\)[\r\n]*\Z" % name, line.text
            ):
                position = offset
        if position and text[position - 1] != "\n":
            statement = "\n" + statement
        text = text[:position] + statement + text[position:]
    return text


def _verify(before, after, values, absent, by_systemd):
    """Raise ``Refused`` if the new text does not say what it should to everyone who reads it."""
    old, new = dotenv.parse(before), dotenv.parse(after)
    old_raw, new_raw = (
        {line.name: line.value for line in lines if line.name} for lines in (old, new)
    )
    for name in values:
        if new_raw.get(name) != values[name]:
            raise Refused(
                "%s cannot be set so that python-dotenv reads it%s" % (name, _in_the_way(new))
            )
    for name in old_raw:
        if name not in values and name not in absent and new_raw.get(name) != old_raw[name]:
            raise Refused("the change would change %s, too%s" % (name, _in_the_way(new)))
    if not by_systemd:
        return
    by_dotenv = dotenv.dotenv_values(new)
    for was, now in zip(
        env_readings.systemd_readings(before), env_readings.systemd_readings(after)
    ):
        for name, value in values.items():
            if now.get(name) != value:
                raise Refused(
                    "%s cannot be set so that systemd reads it%s" % (name, _in_the_way(new))
                )
        for name in set(was) | set(now):
            if name in values or now.get(name) in (was.get(name), by_dotenv.get(name)):
                continue
            if name not in absent or name in now:
                raise Refused(
                    "the change would change what systemd reads for %s%s" % (name, _in_the_way(new))
                )


def _in_the_way(lines):
    """Return, for the end of a message, which line makes systemd read others as part of it."""
    for line in lines:
        if line.error == "a quote that is not closed":
            return ": line %d has %s" % (line.number, line.error)
    for line in lines:
        if line.text.rstrip("\r\n").endswith("\\"):
            return ": line %d ends in a backslash, which joins the next line to it" % line.number
    return ""
