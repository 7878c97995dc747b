# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the app runs with and what its next start gets: two views of its environment.

*Next start*: what systemd gives it (``unit_environment``), what a program that starts it adds, and
what its dotenv and its credentials add to that. *Running*: the environment that its process was
started with, and the same additions. The probes use what the app runs with, if it runs.
"""

from __future__ import annotations

import os
import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_config,
    dotenv,
    process_environment,
    systemctl,
    unit,
    unit_environment,
)
from ansible_collections.sergas.ops.plugins.module_utils._host.unit_environment import Entry

# Compiled where they are used, which is seldom.
#: Programs that give the app what they were given.
_DIRECT = (
    r"(?:python|pypy)[\d.]*\Z|(?:uvicorn|gunicorn|hypercorn|daphne|granian|waitress-serve|celery"
    r"|fastapi)\Z"
)
#: Programs that set no more variables than their command line says.
_PLAIN = (
    r"(?:sh|dash|bash|ash|zsh|ksh|busybox|env|nice|ionice|timeout|setsid|flock|tini|dumb-init"
    r"|catatonit|systemd-cat|setpriv)\Z"
)
#: What may set variables that do not stand in the script itself.
_OPAQUE = (
    r"(?m)(?:^|[;&|]|\b(?:then|do|else|exec)\b)[ \t]*(?:\.|source|eval|sudo|su|runuser|vault|op"
    r"|doppler|chamber|envdir|envconsul|dotenv|poetry|pipenv|uv)[ \t]|\bset[ \t]+-\w*a|allexport"
    r"|\benv[ \t]+-|\bexport[ \t]+[$`\"]"
)
_ENV_FILE_OPTION = r"\s--env-file[ =](\S+)"
_CREDENTIAL = r"(?m)^(?:Load|Set)Credential(?:Encrypted)?=([^:\n]+):?(.*)"
_CREDENTIALS = "/run/credentials"


class AppEnvironment(
    namedtuple(
        "AppEnvironment",
        [
            "app_dir",
            "path",
            "reading",
            "error",
            "by_systemd",
            "by_dotenv",
            "readings",
            "absent",
            "next",
            "running",
            "pending",
            "launcher",
            "gaps",
        ],
    )
):
    """The two views, and where they come from.

    Attributes:
        app_dir: the directory that the app works in.
        path: the file that holds its settings and that remedies write.
        reading: that file, see ``app_config.read``.
        error: why it could not be read, or None.
        by_systemd: whether systemd reads it.
        by_dotenv: whether the app's dotenv reads it.
        readings: of all files that could be read.
        absent: the paths that the unit must have and that do not exist.
        next: {name: ``Entry``} of the next start.
        running: the same of the running app; None where it does not run or that is not known.
        pending: the names of what is another one at the next start, sorted.
        launcher: the path of what starts the app and may set variables, or None.
        gaps: {"sources", "running" or "loaded": why that is not known}.
    """

    __slots__ = ()

    @property
    def entries(self):
        """What the app runs with if it runs, else what its next start gets."""
        return self.next if self.running is None else self.running

    @property
    def values(self):
        """{name: value} of that, where the value is known."""
        return {
            name: entry.value for name, entry in self.entries.items() if entry.value is not None
        }

    @property
    def following(self):
        """{name: value} of the next start, where the value is known."""
        return {name: entry.value for name, entry in self.next.items() if entry.value is not None}

    @property
    def concealed(self):
        """The names of what the app has and whose value is not known."""
        return {name for name, entry in self.entries.items() if entry.value is None}

    def secrets(self):
        """Return the set of values that no one may see."""
        pairs = [(name, entry.value) for name, entry in self.next.items()]
        pairs += [(name, entry.value) for name, entry in (self.running or {}).items()]
        for reading in self.readings:
            for name, value in reading.values.items():
                pairs += [(name, value.dotenv), (name, value.systemd)]
        return app_config.secret_values(pairs)


def read(properties, params, unit_error=None, now=None):
    """Return the ``AppEnvironment`` of this host.

    Args:
        properties: of the app's unit, {} where they are not known.
        params: ``app_dir`` and ``env_file``, each None where the unit says it.
        unit_error: why the unit could not be read, or None.
        now: the time in seconds since the epoch, None for a run that does not need to know what has
            changed since the app's start.
    """
    return _Reader(properties, params, unit_error, now).read()


class _Reader:
    """Collects the sources, each file once."""

    def __init__(self, properties, params, unit_error, now):
        self.properties = properties
        self.app_dir = (
            params.get("app_dir")
            or unit.working_directory(properties)
            or app_config.DEFAULT_APP_DIR
        )
        self.path = params.get("env_file") or unit_environment.default_file(
            properties, self.app_dir
        )
        self.gaps = {}
        if unit_error:
            self.gaps["sources"] = unit_error
        self.absent = []
        self._files = {}
        self._credentials = self._read_credentials()
        self._started = unit.since(properties, "ExecMainStartTimestamp", now) if now else None

    def _read_file(self, path):
        if path not in self._files:
            self._files[path] = app_config.read(path, self._accepts_mark)
        return self._files[path]

    def _accepts_mark(self):
        version = dotenv_version(unit.virtual_interpreter(self.properties, self.app_dir))
        return version is not None and version >= dotenv.MARK_ACCEPTED

    def read(self):
        reading, error = self._read_file(self.path)
        if error:
            self.gaps["sources"] = str(error)
        loaded = self._loaded()
        by_systemd = any(one.path == self.path for one in loaded) or not unit.is_loaded(
            self.properties
        )
        if by_systemd and reading is not None and reading not in loaded:
            loaded.append(reading)  # it is not known what the unit reads
        start = unit_environment.given(self.properties, self._passed(), loaded)
        dotenv_paths = self._dotenv_paths([one.path for one in loaded])
        running = self._running(start, loaded)
        launcher, pending = None, ()
        if running is not None:
            launcher, pending = self._compare(running, start)
            self._check_loaded([one.path for one in loaded], dotenv_paths, running)
        elif not unit.number(self.properties, "MainPID"):
            launcher = self._launcher()
        following = self._with_own(start, dotenv_paths)
        if running is not None:
            # What systemd gives the next start was not there at this one: its dotenv neither.
            running = self._with_own(running, dotenv_paths, set(pending) & set(start))
            # Its dotenv may give the next start what systemd has given this one.
            pending = {name for name in pending if _differ(running.get(name), following.get(name))}
        return AppEnvironment(
            self.app_dir,
            self.path,
            reading,
            error,
            by_systemd,
            self.path in dotenv_paths,
            [one for one, _error in self._files.values() if one is not None],
            self.absent,
            following,
            running,
            sorted(pending),
            launcher,
            self.gaps,
        )

    def _loaded(self):
        """Return the readings of the unit's files, in order."""
        found = []
        for one in unit_environment.environment_files(self.properties):
            paths = one.paths()
            if len(paths) > unit_environment.MOST_FILES:
                self.gaps["sources"] = "%s stands for %d files" % (one.pattern, len(paths))
            if not paths and not one.optional:
                self.absent.append(one.pattern)
            for path in paths[: unit_environment.MOST_FILES]:
                reading, error = self._read_file(path)
                if reading is not None:
                    found.append(reading)
                elif error is None and not one.optional:
                    self.absent.append(path)
                elif error is not None:
                    self.gaps["sources"] = str(error)
        return found

    def _passed(self):
        """Return {name: value} that the unit takes over from the environment of PID 1."""
        names = unit_environment.passed(self.properties)
        if not names:
            return {}
        try:
            with open("/proc/1/environ", "rb") as source:
                values = process_environment.parse(source.read(process_environment.MAX_BYTES))
        except OSError as error:
            self.gaps["sources"] = "PassEnvironment= reads /proc/1/environ: %s" % error.strerror
            return {}
        return {name: values[name] for name in names if name in (values or {})}

    def _dotenv_paths(self, loaded):
        """Return the files that the app's dotenv reads, the first one of a name counts."""
        options = re.findall(_ENV_FILE_OPTION, unit.command_line(self.properties))
        paths = [os.path.join(self.app_dir, path) for path in options]
        if self.path not in loaded or not unit.is_loaded(self.properties):
            paths.append(self.path)
        return list(dict.fromkeys([*paths, os.path.join(self.app_dir, ".env")]))

    def _with_own(self, entries, paths, without=()):
        """Return the entries, and what the app's dotenv and its credentials add to them, but for
        some names.
        """
        found = dict(entries)
        for path in paths:
            reading = self._read_file(path)[0]
            if reading is None:
                continue
            known = {name: entry.value for name, entry in found.items() if entry.value is not None}
            for name, value in dotenv.dotenv_values(reading.lines, known).items():
                line = reading.values[name].line if name in reading.values else 0
                if name not in without:
                    found.setdefault(name, Entry(value, path, line))
        for name, value in self._credentials.items():
            found.setdefault(name, Entry(value, "credentials", 0))
        return found

    def _read_credentials(self):
        """Return {name: value} of the unit's credentials; None for a value that is not known.

        systemctl does not print them, so they are read from the unit's files.
        """
        found = {}
        for path in self._unit_files():
            text = _text(path) or ""
            if "Credential" not in text:
                continue
            for name, source in re.findall(_CREDENTIAL, text):
                if not dotenv.VALID_NAME.match(name.upper()):
                    continue
                own = os.path.join(_CREDENTIALS, self.properties.get("Id") or "", name)
                value = _text(own)
                if value is None and source.startswith("/"):
                    value = _text(source)
                found[name.upper()] = None if value is None else value.strip()
        return found

    def _unit_files(self):
        fragment = self.properties.get("FragmentPath")
        return [path for path in [fragment] if path] + unit_environment.words(
            self.properties.get("DropInPaths")
        )

    def _running(self, start, loaded):
        """Return {name: ``Entry``} that the app's process was started with, or None."""
        if not unit.number(self.properties, "MainPID"):
            return None
        try:
            values = process_environment.read(unit.processes(self.properties))[1]
        except process_environment.Unreadable as error:
            if self._unchanged([one.path for one in loaded]):
                return dict(start)
            self.gaps["running"] = str(error)
            return None
        return {
            name: start.get(name, Entry(value, "its process", 0))._replace(value=value)
            for name, value in values.items()
            if name not in unit_environment.OWN and dotenv.VALID_NAME.match(name)
        }

    def _unchanged(self, paths):
        """Return whether all that the unit reads at a start is as it was at the last one."""
        if self._started is None or self.gaps or self._launcher():
            return False
        try:
            changed = [
                os.stat(path).st_ctime for path in [*self._unit_files(), *paths]
            ]  # a time only
        except OSError:
            return False
        return self.properties.get("NeedDaemonReload") != "yes" and all(
            at < self._started for at in changed
        )

    def _compare(self, running, start):
        """Return (launcher, names that another start changes), and add to the next start what the
        program that starts the app has set.
        """
        other = {name for name, entry in running.items() if name not in start}
        if other:
            manager = self._manager()
            for name in sorted(other):
                if manager.get(name) == running[name].value:
                    start[name] = Entry(running[name].value, "systemd", 0)
                    other.discard(name)
        other |= {name for name, entry in start.items() if running.get(name) is None}
        other |= {
            name
            for name, entry in start.items()
            if name in running and running[name].value != entry.value
        }
        launcher = self._launcher() if other else None
        for name in sorted(other) if launcher else ():
            if launcher.may_set(name):
                other.discard(name)
                start.pop(name, None)
                if name in running:
                    start[name] = Entry(running[name].value, launcher.path, 0)
        return launcher, other

    def _manager(self):
        """Return {name: value} of the manager's environment block."""
        try:
            text = systemctl.run("show-environment", deadline=Deadline(2))
        except systemctl.SystemctlError as error:
            self.gaps["sources"] = str(error)
            return {}
        return dict(line.partition("=")[::2] for line in text.splitlines())

    def _launcher(self):
        return launcher(self.properties, _text)

    def _check_loaded(self, loaded, dotenv_paths, running):
        """Note a file that only the app's dotenv reads and that is younger than the app."""
        for path in dotenv_paths:
            reading = self._read_file(path)[0]
            if reading is None or path in loaded or reading.status is None:
                continue
            adds = any(name not in running for name in reading.values)
            if adds and self._started is not None and reading.status.st_mtime > self._started:
                self.gaps["loaded"] = (
                    "%s was written after the app's start, and systemd does not read it: what the"
                    " app has of it is not known" % path
                )


def _differ(one, other):
    if one is None or other is None:
        return one is not other
    return None not in (one.value, other.value) and one.value != other.value


class Launcher(namedtuple("Launcher", ["path", "text", "opaque"])):
    """What starts the app: its path, what is known of its text, and whether it may set what does
    not stand there.
    """

    __slots__ = ()

    def may_set(self, name):
        """Return whether it may set this variable."""
        return self.opaque or bool(re.search(r"(?<![A-Za-z0-9_])%s=" % re.escape(name), self.text))


def launcher(properties, read_text):
    """Return the ``Launcher`` of a unit, or None where its command is the app.

    Args:
        properties: of the unit.
        read_text: returns the text of a file, or None.
    """
    command = unit.command_line(properties)
    words = command.split()
    if not words or re.match(_DIRECT, os.path.basename(words[0])):
        return None
    texts, opaque = [command], bool(properties.get("PAMName"))
    for position, word in enumerate(words[:3]):
        if not word.startswith("/"):
            continue
        text = read_text(word)
        if text is not None and text.startswith("#!"):
            if position == 0 and "python" in text.partition("\n")[0]:
                return None
            texts.append(text)
        elif position == 0 and not re.match(_PLAIN, os.path.basename(word)):
            opaque = True
    text = "\n".join(texts)
    return Launcher(words[0], text, opaque or bool(re.search(_OPAQUE, text)))


def _text(path):
    """Return the text of a file that root may read, or None."""
    try:
        with files.held(path) as target:
            return target.read(256 * 1024).data.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def dotenv_version(interpreter):
    """Return the version of python-dotenv beside an interpreter as a tuple, or None."""
    if not interpreter:
        return None
    library = os.path.join(os.path.dirname(os.path.dirname(interpreter)), "lib")
    try:
        for name in sorted(os.listdir(library)):
            packages = os.path.join(library, name, "site-packages")
            for entry in os.listdir(packages) if os.path.isdir(packages) else ():
                found = re.match(r"python_dotenv-(\d+(?:\.\d+)*)[^/]*\.dist-info\Z", entry)
                if found:
                    return tuple(int(part) for part in found.group(1).split("."))
    except OSError:
        pass
    return None
