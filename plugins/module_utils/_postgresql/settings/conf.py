# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's configuration files: read in the order the server reads them, written with reasons.

The file system comes in as two functions, so that a change can be tried before it is made.
"""

from __future__ import annotations

import os
import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.values import plain

#: One setting of one line. The last entry of a name wins.
Entry = namedtuple("Entry", "name value path line")
#: A line that the server would refuse, or a file that it could not read.
Fault = namedtuple("Fault", "path line reason")

#: Files that include files that include files: PostgreSQL gives up at this depth, too.
MOST_DEPTH = 10

_LINE = re.compile(
    r"""\s*(?P<name>[A-Za-z_\x80-\U0010ffff][\w$]*(?:\.[A-Za-z_\x80-\U0010ffff][\w$]*)?)
        (?:\s*=\s*|\s+|(?='))
        (?P<value>
            '(?:[^'\\]|\\.|'')*'
          | [+-]?(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)[a-zA-Z]*
          | [A-Za-z_\x80-\U0010ffff][\w$\-.:/]*
        )
        \s*(?:\#.*)?\Z""",
    re.VERBOSE,
)
_NOTHING = re.compile(r"\s*(?:\#.*)?\Z")
_ESCAPE = re.compile(r"\\([0-7]{1,3}|.)|''", re.DOTALL)
_CONTROL = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_INCLUDES = ("include", "include_if_exists", "include_dir")

#: Marks the one line that is added to a postgresql.conf which includes no directory.
INCLUDE_MARK = "# added by sergas.ops.pg_settings"


def unquote(text):
    """Return the value that a configuration file means by quoted or bare text."""
    if not text.startswith("'"):
        return text

    def replace(match):
        escape = match.group(1)
        if escape is None:
            return "'"
        if escape[0] in "01234567":
            return chr(int(escape, 8) & 255)
        return _CONTROL.get(escape, escape)

    return _ESCAPE.sub(replace, text[1:-1])


def quote(value):
    """Return a value as a configuration file needs it: quoted, on one line.

    Raises:
        ValueError: a character that no configuration file can hold.
    """
    if "\0" in value:
        raise InvalidValue("a setting cannot hold a null character")
    text = value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n").replace("\r", "\\r")
    return "'%s'" % text


def lines(text):
    """Return (line number, name, value) of every setting of a file, and faults as (number, None,
    line).
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if _NOTHING.match(line):
            continue
        match = _LINE.match(line)
        if match:
            found.append((number, match.group("name"), unquote(match.group("value"))))
        else:
            found.append((number, None, line.strip()))
    return found


def settings(text):
    """Return {name: value} of one file, includes left out; the last line of a name counts."""
    return {
        name.lower(): value
        for _number, name, value in lines(text)
        if name is not None and name.lower() not in _INCLUDES
    }


class Tree:
    """All configuration files of a server, in its order.

    Attributes:
        entries: every setting of every file, in the order in which the server takes them.
        faults: what the server would refuse.
        directories: the directories that are included, as absolute paths.
    """

    def __init__(self, config_file, auto_file, read, names):
        """Read them.

        Args:
            config_file: the path of postgresql.conf.
            auto_file: the path of postgresql.auto.conf, which comes last, or None.
            read: returns the text of a path, or None where there is no such file.
            names: returns the names in a directory, or None where there is no such directory.
        """
        self.entries, self.faults, self.directories = [], [], []
        self._read, self._names = read, names
        self._add(config_file, None, 0, must=True)
        if auto_file is not None:
            self._add(auto_file, None, 0, must=False)

    def winner(self, name):
        """Return the entry that counts for a name, or None."""
        for entry in reversed(self.entries):
            if entry.name == name.lower():
                return entry
        return None

    def includes(self, directory):
        """Return whether the server reads the files of a directory."""
        return os.path.normpath(directory) in self.directories

    def _add(self, path, line, depth, must):
        if depth > MOST_DEPTH:
            self.faults.append(
                Fault(path, line, "configuration files include one another too deeply")
            )
            return
        text = self._read(path)
        if text is None:
            if must:
                self.faults.append(Fault(path, line, "could not open configuration file"))
            return
        for number, name, value in lines(text):
            if name is None:
                self.faults.append(Fault(path, number, "syntax error: %s" % value))
            elif name.lower() in _INCLUDES:
                target = os.path.normpath(os.path.join(os.path.dirname(path), value))
                self._include(name.lower(), target, path, number, depth + 1)
            else:
                self.entries.append(Entry(name.lower(), value, path, number))

    def _include(self, kind, target, path, number, depth):
        if kind != "include_dir":
            self._add(target, number, depth, must=kind == "include")
            return
        names = self._names(target)
        if names is None:
            self.faults.append(
                Fault(path, number, "could not open configuration directory %s" % target)
            )
            return
        self.directories.append(target)
        # Byte order, as the server has it; hidden files and other endings are not read.
        for name in sorted(names, key=os.fsencode):
            if name.endswith(".conf") and not name.startswith("."):
                self._add(os.path.join(target, name), number, depth, must=True)


def overlay(read, names, changed):
    """Return (read, names) as they would be after a change.

    Args:
        changed: {path: text}, with None for a file that is removed.
    """

    def read_after(path):
        return changed[path] if path in changed else read(path)

    def names_after(directory):
        before = names(directory)
        new = {
            os.path.basename(path)
            for path, text in changed.items()
            if os.path.dirname(path) == directory and text is not None
        }
        gone = {
            os.path.basename(path)
            for path, text in changed.items()
            if os.path.dirname(path) == directory and text is None
        }
        if before is None and not new:
            return None
        return sorted((set(before or ()) | new) - gone)

    return read_after, names_after


def with_include(text, directory):
    """Return a postgresql.conf that includes a directory at its end."""
    end = "" if not text or text.endswith("\n") else "\n"
    return "%s%sinclude_dir = %s  %s\n" % (text, end, quote(directory), INCLUDE_MARK)


def without_include(text):
    """Return a postgresql.conf without the line that was added to it."""
    return "".join(line for line in text.splitlines(True) if INCLUDE_MARK not in line)


def render(values, reasons, about):
    """Return the text of the owned file.

    Args:
        values: {name: value}, each value as text without quotes.
        reasons: {name: why it has this value}.
        about: sentences on top, one a line.
    """
    out = ["# This file is written by Ansible (sergas.ops.pg_settings); changes by hand are lost."]
    out += ["# %s" % sentence for sentence in about]
    for name, value in values.items():
        out.append("")
        if reasons.get(name):
            out.append("# %s" % " ".join(reasons[name].split()))
        out.append("%s = %s" % (name, quote(plain(value))))
    return "\n".join(out) + "\n"
