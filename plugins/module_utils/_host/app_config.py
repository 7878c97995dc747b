# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app's configuration: what its .env says to the two that read it, and what the app gets."""

from __future__ import annotations

import os
import re
import stat
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core import files as core_files
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    NotHere,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import is_secret_name
from ansible_collections.sergas.ops.plugins.module_utils._host import dotenv
from ansible_collections.sergas.ops.plugins.module_utils._net import pgwire, resp, url

#: No real .env comes near; a device or a log given by mistake does.
MAX_BYTES = 1024 * 1024
_URL_PARTS = ("scheme", "user", "password", "host", "port", "path", "query")
_OPTIONS = ("host", "port", "name", "user", "password")


class Value(namedtuple("Value", ["systemd", "dotenv", "line"])):
    """One variable of the file: what each reader gets, None if nothing, and its line."""

    __slots__ = ()


class Refusal(str):
    """Why a file was not read that may be another user's; see ``files.FileRefused``."""

    __slots__ = ()


class Reading(
    namedtuple(
        "Reading",
        ["path", "mode", "lines", "values", "duplicates", "malformed", "status", "marked"],
        defaults=[None, None],
    )
):
    """A .env file as it was read.

    Attributes:
        path: its path.
        mode: its mode.
        lines: a list of ``dotenv.Line``.
        values: {name: Value}.
        duplicates: the names set more than once: the last one counts.
        malformed: (number, reason) of the lines that are no statements.
        status: its os.stat_result, None for what was no file.
        marked: the variable after a ``dotenv.MARK`` that python-dotenv leaves out, or None.
    """

    __slots__ = ()


def read(path, accepts_mark=lambda: False):
    """Return (Reading, None), (None, None) for a file that does not exist, or (None, reason).

    The reason is a ``Refusal`` where the file may be another user's; see ``files.held``.

    Args:
        path: of the file.
        accepts_mark: returns whether the app's python-dotenv accepts ``dotenv.MARK``; called where
            there is one.
    """
    try:
        with core_files.held(path) as target:
            content = target.read(MAX_BYTES)
    except FileNotFoundError:
        return None, None
    except core_files.FileUnsuitable as error:
        return None, str(error)
    except core_files.FileRefused as error:
        return None, Refusal(error)
    except OSError as error:
        return None, "%s cannot be read: %s" % (path, error.strerror)
    return decode(content, path, accepts_mark)


def decode(content, path, accepts_mark=lambda: False):
    """Return what ``read`` does, of a file that has been read.

    Args:
        content: its ``files.Content``.
        path: for the messages.
        accepts_mark: as for ``read``.
    """
    status, data = content
    if b"\0" in data:
        return None, "%s has NUL bytes: it is not text" % path
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, "%s is not UTF-8 at byte %d" % (path, error.start)
    marked = text.startswith(dotenv.MARK) and accepts_mark()
    return interpret(text, path, stat.S_IMODE(status.st_mode), marked, status), None


def interpret(text, path=".env", mode=0o600, marked=False, status=None):
    """Return the ``Reading`` of the text of a .env file.

    Args:
        text: of the file.
        path, mode, status: as in a ``Reading``.
        marked: whether the text begins with a mark that python-dotenv leaves out.
    """
    lines = dotenv.parse(text[1:] if marked else text)
    by_dotenv = dotenv.dotenv_values(lines)
    by_systemd = dotenv.systemd_values(text)
    numbers, duplicates = {}, []
    for line in lines:
        if line.name is not None:
            if line.name in numbers and line.name not in duplicates:
                duplicates.append(line.name)
            numbers[line.name] = line.number
    names = list(numbers) + sorted(set(by_systemd) - set(numbers))
    values = {
        name: Value(by_systemd.get(name), by_dotenv.get(name), numbers.get(name, 0))
        for name in names
    }
    malformed = [(line.number, line.error) for line in lines if line.error]
    first = lines[0].name if marked and lines else None
    return Reading(path, mode, lines, values, duplicates, malformed, status, first)


def settings(reading, params):
    """Return what ``with_options`` does, of a file that systemd reads and python-dotenv, too.

    They leave a variable alone that the process has already, so what systemd reads wins.
    """
    values = {}
    for name, value in reading.values.items() if reading is not None else ():
        values[name] = value.dotenv if value.systemd is None else value.systemd
    return with_options(
        {name: value for name, value in values.items() if value is not None}, params
    )


def with_options(values, params):
    """Return {name: value} of what the app runs with and of the module's options over it.

    The parts of DATABASE_URL and REDIS_URL are added as DATABASE_URL.host and so on (scheme, user,
    password, host, port, path, query), and DATABASE_URL.hosts where it names several.
    """
    result = dict(values)
    for service in ("DATABASE", "REDIS"):
        address = service + "_URL"
        if result.get(address):
            # Where there is a URL, as its parser.
            from ansible_collections.sergas.ops.plugins.module_utils._host import service_url

            try:
                parts, servers = service_url.split(result[address])
            except ValueError:
                parts, servers = None, ()  # the options count all the same
            for part in _URL_PARTS if parts else ():
                if getattr(parts, part) not in (None, ""):
                    result["%s.%s" % (address, part)] = str(getattr(parts, part))
            if len(servers) > 1:
                result[address + ".hosts"] = "\n".join(
                    "%s %s" % (host, port or "") for host, port in servers
                )
        for option in _OPTIONS:
            given = params.get("%s_%s" % (service.lower(), option))
            if given is not None:
                result["%s_%s" % (service, option.upper())] = str(given)
                result["%s.%s" % (address, option)] = str(given)
                if option in ("host", "port"):
                    result.pop(address + ".hosts", None)
    return result


def port(settings):
    """Return the port the configuration gives the app, or None where it gives none that can be."""
    for name in ("API_PORT", "PORT"):
        text = settings.get(name, "")
        if re.match(r"[0-9]{1,5}\Z", text) and 0 < int(text) < 65536:
            return int(text)
    return None


def secrets(settings, reading=None):
    """Return the set of values that no one may see, passwords within URLs among them."""
    pairs = list(settings.items())
    for name, value in reading.values.items() if reading is not None else ():
        pairs += [(name, value.dotenv), (name, value.systemd)]
    return secret_values(pairs)


def secret_values(pairs):
    """Return the set of the secrets among (name, value) pairs; a value may be None."""
    found = set()
    for name, value in pairs:
        if value and is_secret_name(name):
            found.add(value)
        if value and "://" in value and "@" in value:
            from ansible_collections.sergas.ops.plugins.module_utils._host import service_url

            found |= service_url.fragments(value)
    return found


DEFAULT_APP_DIR = "/home/sergas/super-account-manager"
DEFAULT_PORT = 8000


_SCHEMES = ("postgresql", "postgres")
_TLS_WORDS = {
    "true": "require",
    "1": "require",
    "on": "require",
    "false": "disable",
    "0": "disable",
    "off": "disable",
}
SOCKETS = (
    "/var/run/postgresql",
    "/run/postgresql",
    "/tmp",  # noqa: S108  where a server built from source puts its socket
)


def database_targets(settings):
    """Return what ``database_target`` does for each server that the app may use, the one that it
    tries first at the beginning.

    Raises:
        NotHere: the app uses another database system.
    """
    target = database_target(settings)
    servers = [line.partition(" ") for line in settings.get("DATABASE_URL.hosts", "").split("\n")]
    return [
        dict(target, host=host, port=int(port or pgwire.DEFAULT_PORT))
        for host, _space, port in servers
        if host
    ] or [target]


def database_target(settings):
    """Return host, port, name, user, password, tls and root of the database the app uses.

    Raises:
        NotHere: the app uses another database system.
    """
    scheme = settings.get("DATABASE_URL.scheme", "").partition("+")[0]
    if scheme and scheme not in _SCHEMES:
        raise NotHere("The app uses %s, not PostgreSQL" % scheme)
    part = settings.get
    query = (
        url.Url("", None, None, "", None, "", part("DATABASE_URL.query", "")) if scheme else None
    )
    host = part("DATABASE_URL.host") or (query and query.option("host"))
    if scheme and not host:
        # libpq's default for postgresql:///name
        host = next((directory for directory in SOCKETS if os.path.isdir(directory)), SOCKETS[0])
    tls = (
        (query and query.option("sslmode", "ssl"))
        or part("DATABASE_SSLMODE")
        or part("PGSSLMODE")
        or "prefer"
    )
    tls = _TLS_WORDS.get(tls.lower(), tls.lower())
    port = part("DATABASE_URL.port") or part("DATABASE_PORT") or ""
    return {
        "host": host or part("DATABASE_HOST"),
        "port": int(port) if re.match(r"[0-9]{1,5}\Z", port) else pgwire.DEFAULT_PORT,
        "name": (
            url.unquote(part("DATABASE_URL.path", "").lstrip("/"))
            or part("DATABASE_URL.name")
            or part("DATABASE_NAME")
        ),
        "user": part("DATABASE_URL.user") or part("DATABASE_USER"),
        "password": part("DATABASE_URL.password") or part("DATABASE_PASSWORD"),
        "tls": tls if tls in pgwire.TLS_MODES else "prefer",
        "root": query and query.option("sslrootcert"),
    }


_TRUE = ("true", "1", "yes", "on")


def redis_target(settings):
    """Return host, port, user, password and tls of the Redis the app uses, or None where none is
    set.
    """
    part = settings.get
    scheme = part("REDIS_URL.scheme", "")
    # Beside the URL of a socket, a host is the one of the options.
    host = part("REDIS_URL.host") or part("REDIS_URL.path" if scheme == "unix" else "REDIS_HOST")
    if not host:
        return None
    port = part("REDIS_URL.port") or part("REDIS_PORT") or ""
    return {
        "host": host,
        "port": int(port) if re.match(r"[0-9]{1,5}\Z", port) else resp.DEFAULT_PORT,
        "user": part("REDIS_URL.user") or part("REDIS_USERNAME"),
        "password": part("REDIS_URL.password") or part("REDIS_PASSWORD"),
        "tls": scheme == "rediss" or (not scheme and part("REDIS_SSL", "").lower() in _TRUE),
    }


def service_hosts(settings):
    """Return the hosts, names or addresses, of the services that the app's settings name."""
    found = [settings.get(name + "_URL.host") or settings.get(name + "_HOST") for name in _STORES]
    for name in ("COGNEE_BASE_URL", "COGNEE_API_URL", "ZOHO_ACCOUNTS_URL", "ZOHO_API_URL"):
        try:
            found.append(url.split(settings.get(name) or "").host)
        except ValueError:
            continue
    # A path is that of a socket.
    return list(dict.fromkeys(host for host in found if host and not host.startswith("/")))


_STORES = ("DATABASE", "REDIS")
