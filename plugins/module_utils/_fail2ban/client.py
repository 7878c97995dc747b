# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fail2ban's server over its own socket, and its configuration as its client dumps it.

The client takes a third of a second for one question; the socket answers hundreds in that time.
"""

from __future__ import annotations

import ast
import io
import pickle
import re
import socket
from typing import Dict, List, NamedTuple, Tuple

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError

SOCKET = "/run/fail2ban/fail2ban.sock"
UNIT = "fail2ban.service"
CONFIG = "/etc/fail2ban"
_END = b"<F2B_END_COMMAND>"
_CLOSE = b"<F2B_CLOSE_COMMAND>"
#: What an answer may be made of besides numbers, text and lists. An address comes as str(...).
_PLAIN = {(module, name) for module in ("builtins", "__builtin__") for name in ("str", "set")}
_LONGEST_ANSWER = 16 * 1024 * 1024


class ServerDown(OperationError):
    """Nothing answers on the socket; the message says why."""


class Refused(OperationError):
    """The server answers that it cannot; the message is its own."""


class Configured(NamedTuple):
    """A jail as the files on disk have it."""

    name: str
    backend: str
    #: as journalctl takes it, '' for none
    journalmatch: str
    logpaths: Tuple[str, ...]
    ignored: Tuple[str, ...]
    #: maxretry, findtime, bantime and so on, as text
    values: Dict[str, str]
    #: {action: {property: text}}
    actions: Dict[str, Dict[str, str]]


class Jail(NamedTuple):
    """A jail as the server runs it."""

    name: str
    journalmatch: str
    logpaths: Tuple[str, ...]
    ignored: Tuple[str, ...]
    maxretry: int
    findtime: int
    bantime: int
    actions: Tuple[str, ...]
    failed: int
    banned: Tuple[str, ...]


class Server:
    """A connection to fail2ban's server.

    Args:
        path: its socket.
        timeout: for each answer, in seconds.

    Raises:
        ServerDown: nothing listens there.
        PermissionError: only root may.
    """

    def __init__(self, path=SOCKET, timeout=20.0):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except PermissionError:
            self._socket.close()
            raise
        except OSError as error:
            self._socket.close()
            raise ServerDown("fail2ban does not answer on %s: %s" % (path, error.strerror or error))

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        try:
            self._socket.sendall(_CLOSE + _END)
        except OSError:
            pass
        self._socket.close()

    def query(self, *words):
        """Return the answer to a command, as plain data.

        Raises:
            ServerDown: the connection broke off, or nothing came in time.
            Refused: the server could not do it.
        """
        try:
            # Protocol 2: whatever Python the server runs on can read it.
            self._socket.sendall(pickle.dumps(list(words), 2) + _END)
            data = b""
            while not data.endswith(_END):
                part = self._socket.recv(65536)
                if not part or len(data) > _LONGEST_ANSWER:
                    raise ServerDown("fail2ban broke off its answer to %r" % " ".join(words))
                data += part
        except OSError as error:
            raise ServerDown("fail2ban gave no answer to %r: %s" % (" ".join(words), error))
        answer = _Unpickler(io.BytesIO(data[: -len(_END)])).load()
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Refused(str(answer))
        status, value = answer
        if status:
            raise Refused("%s: %s" % (" ".join(words), value))
        return value

    def jails(self):
        """Return the names of the jails that run."""
        listed = dict(self.query("status")).get("Jail list", "")
        return [name.strip() for name in listed.split(",") if name.strip()]

    def jail(self, name):
        """Return a running ``Jail``. Raises Refused where there is none."""
        status = {key: dict(value) for key, value in self.query("status", name)}
        matches = self.query("get", name, "journalmatch") if _reads_journal(status) else []
        return Jail(
            name,
            join_matches(matches),
            tuple(str(path) for path in status["Filter"].get("File list", ())),
            tuple(str(item) for item in self.query("get", name, "ignoreip")),
            int(self.query("get", name, "maxretry")),
            int(self.query("get", name, "findtime")),
            int(self.query("get", name, "bantime")),
            tuple(self.query("get", name, "actions")),
            int(status["Filter"].get("Total failed", 0)),
            tuple(
                sorted(
                    addresses.same(str(item))
                    for item in status["Actions"].get("Banned IP list", ())
                )
            ),
        )


def _reads_journal(status):
    return "Journal matches" in status["Filter"]


class _Unpickler(pickle.Unpickler):
    """Reads plain data only: an answer cannot name code to run."""

    def find_class(self, module, name):
        if (module, name) in _PLAIN:
            return {"str": str, "set": set}[name]
        if "Exception" in name or "Error" in name:
            # A refusal: its text is what counts.
            return _Failure
        raise pickle.UnpicklingError("fail2ban answers with a %s.%s" % (module, name))


class _Failure(str):
    """The text of an exception of the server's."""

    def __new__(cls, *words):
        return super().__new__(cls, " ".join(str(word) for word in words))

    def __setstate__(self, _state):
        pass


def join_matches(matches):
    """Return lists of FIELD=value as journalctl takes them: alternatives joined by ``+``."""
    return " + ".join(" ".join(group) for group in matches)


def parse_database(text):
    """Return the file of the database in what ``fail2ban-client -d`` prints, None for none."""
    found = re.search(r"^\['set', 'dbfile', '(/[^']*)'\]", text, re.M)
    return found.group(1) if found else None


def parse_dump(text):
    """Return {name: ``Configured``} of what ``fail2ban-client -d`` prints.

    Lines that are none of its commands (warnings) are left out.
    """
    jails = {}
    for line in text.splitlines():
        if not line.startswith("["):
            continue
        try:
            words = ast.literal_eval(line)
        except (ValueError, SyntaxError):
            continue
        if len(words) >= 3 and words[0] == "add":
            jails[words[1]] = Configured(words[1], words[2], "", (), (), {}, {})
        elif len(words) >= 4 and words[0] in ("set", "multi-set") and words[1] in jails:
            jails[words[1]] = _configure(jails[words[1]], words[2], words[3:])
    return jails


def _configure(jail, key, words):
    if key == "addjournalmatch":
        match = " ".join(str(word) for word in words)
        return jail._replace(journalmatch=" + ".join(filter(None, (jail.journalmatch, match))))
    if key == "addlogpath":
        return jail._replace(logpaths=jail.logpaths + (str(words[0]),))
    if key == "addignoreip":
        return jail._replace(ignored=jail.ignored + tuple(str(word) for word in words))
    if key == "addaction":
        return jail._replace(actions=dict(jail.actions, **{str(words[0]): {}}))
    if key == "action" and len(words) >= 2:
        pairs = words[1] if isinstance(words[1], list) else [words[1:3]]
        known = dict(jail.actions.get(words[0], {}))
        known.update({str(pair[0]): str(pair[1]) for pair in pairs if len(pair) == 2})
        return jail._replace(actions=dict(jail.actions, **{str(words[0]): known}))
    if len(words) == 1 and not isinstance(words[0], (list, dict)):
        return jail._replace(values=dict(jail.values, **{key: str(words[0])}))
    return jail


class Ini(NamedTuple):
    """What a configuration file of fail2ban sets."""

    path: str
    #: {section: {key: value}}
    sections: Dict[str, Dict[str, str]]


def parse_ini(path, text):
    """Return the ``Ini`` of a file's text; continued lines are joined by newlines."""
    sections: Dict[str, Dict[str, str]] = {}
    section, key = None, None
    for line in text.splitlines():
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        head = re.match(r"\[([^\]]+)\]", line)
        if head:
            section, key = sections.setdefault(head.group(1).strip(), {}), None
        elif section is not None and line[0] in " \t" and key:
            section[key] = (section[key] + "\n" + line.strip()).strip()
        elif section is not None and re.match(r"\s*[^=:\s][^=:]*[=:]", line):
            key, value = [part.strip() for part in re.split("[=:]", line, maxsplit=1)]
            section[key] = value
    return Ini(path, sections)


def overridden(own, later):
    """Return [{file, jail, key, ours, theirs}]: what counts over our own file.

    Args:
        own: the ``Ini`` of our jails.
        later: those of the files that fail2ban reads after ours, in its order.
    """
    found: Dict[Tuple[str, str], Dict[str, str]] = {}
    for ini in later:
        for name, settings in ini.sections.items():
            for key, theirs in settings.items():
                ours = own.sections.get(name, {}).get(key)
                if ours is None:
                    continue
                if _same(ours, theirs):
                    found.pop((name, key), None)
                else:
                    found[name, key] = {
                        "file": ini.path,
                        "jail": name,
                        "key": key,
                        "ours": ours,
                        "theirs": theirs,
                    }
    return [found[key] for key in sorted(found)]


def _same(one, other):
    # An address of ignoreip may be there in another notation.
    return _words(one) == _words(other)


def _words(text):
    return [addresses.same(word) for word in re.split(r"[\s,]+", text)]


def units(journalmatch) -> List[str]:
    """Return the units that a journal match names."""
    return sorted(set(re.findall(r"\b_SYSTEMD_UNIT=(\S+)", journalmatch)))
