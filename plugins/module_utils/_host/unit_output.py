# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a unit's standard output and standard error go: by its settings, and by its process."""

from __future__ import annotations

import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

#: What ``systemctl show`` prints for a file; its path stands in the files of the unit only.
FILES = ("file", "append", "truncate")
_STREAMS = (("StandardOutput", 1), ("StandardError", 2))
_SETTING = re.compile(r"\s*(StandardOutput|StandardError)\s*=\s*(.*?)\s*$")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "busybox")


def read(properties):
    """Return where the output of a unit goes.

    Args:
        properties: those of the unit (``systemctl show``), {} where there is none.

    Returns:
        dict with journal (whether any of it goes there), files ([{path, kind, end}], where end is
        how far the process has written, where that is not the end of the file), elsewhere (what is
        not read, as sentences) and piped (whether a process of the unit takes it).
    """
    main = unit.number(properties, "MainPID")
    streams = {}
    for name, number in _STREAMS:
        kind = properties.get(name) or "journal"
        if name == "StandardError" and kind == "inherit":
            kind = properties.get("StandardOutput") or "journal"
        streams[name] = (kind, _link(main, number))
    paths = {}
    if any(kind in FILES for kind, _link_of in streams.values()):
        paths = _named(properties)
    return decide(streams, paths, _positions(main, streams), _is_shell(main), bool(main))


def decide(streams, paths, positions=(), in_shell=False, running=True):
    """Return the same from what was read (pure).

    Args:
        streams: {name: (setting, where the descriptor of the main process leads, or None)}.
        paths: {name: path that the unit's files name}.
        positions: {name: how far the process has written}.
        in_shell: whether the main process is a shell, which may hand its output on.
        running: whether there is a main process.
    """
    result = {"journal": False, "files": [], "elsewhere": [], "piped": in_shell}
    for name, (kind, link) in streams.items():
        if kind.startswith(("journal", "syslog")):
            if link and link.startswith("pipe:"):
                result["piped"] = True
            elif link and link.startswith("/"):
                _elsewhere(result, "%s goes to %s, which the unit does not name" % (name, link))
                continue
            result["journal"] = True
        elif kind in FILES:
            path = paths.get(name) or paths.get("StandardOutput")
            if path is None:
                _elsewhere(result, "%s goes to a file that the unit's files do not name" % name)
                continue
            if link == path + " (deleted)":
                _elsewhere(result, "%s goes to %s, which has been removed" % (name, path))
                continue
            if link and link.startswith((path + ".", path + "-")):
                path = link  # renamed, as logrotate does, and written on
            end = dict(positions).get(name) if kind == "file" else None
            if kind == "file" and running is False:
                _elsewhere(
                    result, "%s is written from the beginning of %s at each start" % (name, path)
                )
                continue
            entry = {"path": path, "kind": kind, "end": end}
            if entry not in result["files"]:
                result["files"].append(entry)
        else:
            _elsewhere(result, "%s=%s of the unit keeps nothing that can be read" % (name, kind))
    return result


def _elsewhere(result, sentence):
    if sentence not in result["elsewhere"]:
        result["elsewhere"].append(sentence)


def _link(pid, number):
    try:
        return os.readlink("/proc/%d/fd/%d" % (pid, number)) if pid else None
    except OSError:
        return None


def _positions(pid, streams):
    """Return {name: how far a process has written} of the streams that go to a file."""
    found = {}
    for name, number in _STREAMS:
        if pid and streams[name][0] == "file":
            try:
                with open("/proc/%d/fdinfo/%d" % (pid, number), encoding="ascii") as file:
                    found[name] = int(file.readline().split()[1])
            except (OSError, ValueError, IndexError):
                continue
    return found


def _is_shell(pid):
    try:
        with open("/proc/%d/comm" % (pid or 0), encoding="utf-8", errors="replace") as file:
            return file.read().strip() in _SHELLS
    except OSError:
        return False


def _named(properties):
    """Return {name: path} of the files that a unit's own files name for its output."""
    sources = [properties.get("FragmentPath", "")] + properties.get("DropInPaths", "").split()
    return named((_text(path) for path in sources if path), properties.get("Id", ""))


def _text(path):
    try:
        return files.read_text(path)
    except OSError:
        return ""


def named(texts, unit_name=""):
    """Return {name: path} of the texts of a unit's files, in systemd's order (pure).

    The path is that of the settings, and not where the process has it open: a link that the app's
    user has made at that path must not be followed.
    """
    values = {}
    for line in "\n".join(texts).split("\n"):
        found = _SETTING.match(line)
        if found:
            values[found.group(1)] = found.group(2)
    paths = {}
    for name, value in values.items():
        kind, colon, path = value.partition(":")
        for specifier, text in _specifiers(unit_name):
            path = path.replace(specifier, text)
        if colon and kind in FILES and path.startswith("/") and "%" not in path:
            paths[name] = path
    return paths


def _specifiers(name):
    """Return what stands for what in a path: the unit's name and its parts."""
    stem = name.rpartition(".")[0]
    prefix, _at, instance = stem.partition("@")
    return (("%n", name), ("%N", stem), ("%p", prefix), ("%i", instance))
