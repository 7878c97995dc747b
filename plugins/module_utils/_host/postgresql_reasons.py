# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a PostgreSQL of this host does not serve, by the state of its clusters and its pooler. Pure.

What shows in any language comes first: processes, ports, modes, free space. The server's own words
follow, as it writes them with the messages in English, which is how Debian's services run.
"""

from __future__ import annotations

import collections
import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._net import failures


class Reason(namedtuple("Reason", ["code", "detail", "words", "advice", "can_start", "lines"])):
    """Why it does not serve.

    Attributes:
        code: one of ``CODES``.
        detail: what tells two causes of one code apart.
        words: to continue "PostgreSQL at 192.0.2.7:5432 cannot be used: ".
        advice: what to do about it.
        can_start: whether a start of the cluster can help.
        lines: those of the log that say so.
    """

    __slots__ = ()


#: A server writes nothing more where less than this is free: the size of a file of WAL.
_LEAST_BYTES = 16 * 1024 * 1024
_REFUSALS = ("password", "password_missing", "role", "database", "pg_hba", "identity", "privilege")
_STOPPED = ("T", "t")
#: A process that is there and has no session yet.
_NOT_YET = ("startup", "authentication", "initializing")
_NOTHING_THERE = (failures.REFUSED, failures.MISSING)
_NO_ANSWER = (failures.HUNG, failures.CLOSED, failures.TIMEOUT, "pooler")

#: code: (what its log says, advice); the line that comes last counts. None for a stop by a person.
_WORDS = (
    (
        None,
        re.compile(r"received (?:fast|smart|immediate) shutdown request"),
        None,
    ),
    (
        "hba",
        re.compile(
            r"line (?P<line>\d{1,9}) of configuration file "
            r"\"(?P<file>[^\"]{1,200}hba[^\"]{0,100})\""
            r"|could not load (?P<other>\S{1,200}hba\S{0,100})"
        ),
        "Correct that line, and start the cluster.",
    ),
    (
        "configuration",
        re.compile(
            r"in file \"(?P<file>[^\"]{1,300})\" line (?P<line>\d{1,9})"
            r"|[Ii]nvalid line (?P<number>\d{1,9}) in (?P<path>/[^\s:]{1,300})"
            r"|configuration file \"(?P<other>[^\"]{1,300})\" contains errors"
            r"|invalid value for parameter|unrecognized configuration parameter"
        ),
        "Correct that setting, and start the cluster.",
    ),
    (
        "port_taken",
        re.compile(r"[Aa]ddress already in use|Port conflict"),
        "Find what has the port (ss -lptn), and move one of the two.",
    ),
    (
        "disk_full",
        re.compile(r"No space left on device"),
        "Free space on the file system of its data directory.",
    ),
    (
        "data_permissions",
        re.compile(
            r"has invalid permissions|has wrong ownership|[Oo]wner .{1,200} do(?:es)? not match"
            r"|must be owned by|[Pp]ermission denied"
        ),
        "Give the file and its directories back to the server's own user, with mode 0700 or 0750.",
    ),
    (
        "memory",
        re.compile(r"could not (?:map|create) (?:anonymous )?shared memory|Cannot allocate memory"),
        "Lower shared_buffers or max_connections, or give the host more memory.",
    ),
    (
        "library",
        re.compile(r"could not (?:access|load) (?:file|library) \"(?P<file>[^\"]{1,200})\""),
        "Install the library, or take it out of shared_preload_libraries.",
    ),
    (
        "certificate",
        re.compile(
            r"could not (?:load|access) (?:server certificate|private key|root certificate)"
            r"[^\"]{0,40}\"(?P<file>[^\"]{1,200})\"|private key file \"(?P<key>[^\"]{1,200})\""
        ),
        "Correct ssl_cert_file and ssl_key_file, or the owner and the mode of the key.",
    ),
    (
        "damaged",
        re.compile(
            r"could not locate a valid checkpoint record|invalid checkpoint record"
            r"|is not a valid data directory|incompatible with server|\bPANIC:"
        ),
        "Do not start it again and again: read its log, and restore it from a backup or a replica.",
    ),
)
#: No statement that failed has ended a server.
_OF_STATEMENT = re.compile(r"\b(?:ERROR|STATEMENT|DETAIL|HINT): ")
_SENTENCES = {
    "hba": "its pg_hba.conf is not valid",
    "configuration": "its configuration is not valid",
    "port_taken": "its port is taken",
    "disk_full": "its disk was full",
    "data_permissions": "its own user may not use its files",
    "memory": "it did not get its shared memory",
    "library": "it cannot load a library",
    "certificate": "its certificate or key cannot be loaded",
    "damaged": "its data cannot be read",
}
#: The reasons that ``of_server`` can give.
CODES = (
    *_SENTENCES,
    "down",
    "frozen",
    "listens_elsewhere",
    "socket_only",
    "pool_exhausted",
    "reserved_taken",
)


def of_server(kind, port, tcp, clusters, pooler=None):
    """Return the ``Reason``, or None where nothing on this host explains the failure.

    Args:
        kind: of the failure, as ``failures`` and ``postgres_failures`` have it.
        port: that the connection went to.
        tcp: whether it went over TCP, not to a Unix socket.
        clusters: as ``postgresql_clusters.read`` returns them.
        pooler: what ``pgbouncer.read`` knows of the listener there, None where it is none.
    """
    if pooler:
        return _of_pooler(kind, pooler)
    running = [item for item in clusters if item["running"]]
    there = [item for item in running if item["running"]["port"] == port]
    if kind in _NO_ANSWER:
        return next(map(_frozen, filter(_is_frozen, there)), None)
    mine = [item for item in clusters if item["port"] == port]
    down = [item for item in mine if not item["running"]]
    down.sort(key=lambda item: item["start"] != "auto")
    if kind in _REFUSALS:
        # What is there may not be what is meant: two clusters with one port, and the other is up.
        wanted = [item for item in down if item["start"] == "auto"]
        return _taken(wanted[0], there[0]) if wanted and there else None
    if kind == "slots" and there and "backends" in there[0]:
        return _of_slots(there[0])
    if kind not in _NOTHING_THERE:
        return None
    if there:
        return _frozen(there[0]) if _is_frozen(there[0]) else _elsewhere(there[0], port, tcp)
    if down:
        return _of_down(down[0])
    moved = [item for item in mine if item["running"]] or running
    return _elsewhere(moved[0], port, tcp) if moved else None


def _is_frozen(cluster):
    return cluster["running"]["process"] in _STOPPED


def _frozen(cluster):
    pid = cluster["running"]["pid"]
    return Reason(
        "frozen",
        cluster["name"],
        "the cluster %s is stopped by a signal (pid %d)" % (cluster["name"], pid),
        "Find out who stopped it, then let it continue: kill -CONT %d." % pid,
        False,
        [],
    )


def _of_slots(cluster):
    """Return the reason where not even the slots for an administrator are left, which superusers
    alone can take: no remedy gets in.
    """
    sessions = [item for item in cluster["backends"] if item["state"] not in _NOT_YET]
    if len(sessions) < cluster["most"]:
        return None
    counts = collections.Counter((item["user"], item["state"]) for item in sessions)
    (user, state), count = counts.most_common(1)[0]
    return Reason(
        "reserved_taken",
        cluster["name"],
        "all %d connections are taken, those reserved for superusers, too: %d are of %s (%s)"
        % (cluster["most"], count, user, state or "no state"),
        "No remedy gets in. End the client that holds them, or some of its sessions on the"
        " server's host (kill -TERM of a process in ps -C postgres); take SUPERUSER from the role.",
        False,
        [],
    )


def _taken(cluster, other):
    return Reason(
        "port_taken",
        cluster["name"],
        "the cluster %s is down, and %s has its port %d"
        % (cluster["name"], other["name"], cluster["port"]),
        "Stop the cluster %s, or give it another port, then start %s."
        % (other["name"], cluster["name"]),
        False,
        [],
    )


def _elsewhere(cluster, port, tcp):
    """Return the reason for a cluster that runs and does not listen where it is expected."""
    running = cluster["running"]
    if running["state"] in ("starting", "stopping"):
        return None
    if running["port"] == port and not running["listens"]:
        if not tcp:
            return None
        return Reason(
            "socket_only",
            cluster["name"],
            "the cluster %s runs and listens on its socket in %s only"
            % (cluster["name"], running["socket"]),
            "Set listen_addresses and restart it, or let the app connect to the socket.",
            False,
            [],
        )
    where = "port %d" % running["port"]
    if running["listens"] and running["port"] == port:
        where = "%s, %s" % (running["listens"], where)
    return Reason(
        "listens_elsewhere",
        cluster["name"],
        "%s; the cluster %s listens on %s"
        % (failures.WORDS[failures.REFUSED], cluster["name"], where),
        "Correct the host and the port in .env, or listen_addresses and port of the cluster.",
        False,
        [],
    )


def _of_down(cluster):
    """Return the reason for a cluster that is down: what can be seen, then its last words."""
    code, lines, location, advice = last_words(cluster["log"])
    if cluster["access"]:
        code, location = "data_permissions", cluster["access"]
        advice = _advice("data_permissions")
    elif code == "disk_full" and (cluster["available"] or 0) >= _LEAST_BYTES:
        # There is room again, so it may start.
        return _down(cluster, "; its disk was full when it ended", lines)
    elif code is None:
        if (cluster["available"] or _LEAST_BYTES) < _LEAST_BYTES:
            code, advice = "disk_full", _advice("disk_full")
        else:
            return _down(cluster, "", lines)
    said = location if code == "data_permissions" and location else _SENTENCES[code]
    if location and said != location:
        said += " (%s)" % location
    return Reason(
        code,
        ":".join(filter(None, (cluster["name"], location if code != "data_permissions" else ""))),
        "the cluster %s is down: %s" % (cluster["name"], said),
        advice,
        False,
        lines,
    )


def _advice(code):
    return next(advice for name, _pattern, advice in _WORDS if name == code)


def _down(cluster, more, lines):
    return Reason(
        "down",
        cluster["name"],
        "the cluster %s is down%s" % (cluster["name"], more),
        "Start it: systemctl start %s." % cluster["unit"],
        True,
        lines,
    )


def last_words(log):
    """Return (code, lines, location, advice) of why a server ended, by the end of its log.

    Args:
        log: its last lines, in their order.
    """
    for number in range(len(log) - 1, -1, -1):
        line = log[number]
        if "ready to accept connections" in line:
            break
        if _OF_STATEMENT.search(line):
            continue
        for code, pattern, advice in _WORDS:
            found = pattern.search(line)
            if not found:
                continue
            if code is None:
                return None, [line], None, None
            location = _best_location(pattern, log[max(0, number - 4) : number + 1])
            return code, log[max(0, number - 2) : number + 1], location, advice
    return None, log[-2:], None, None


def _location(found):
    """Return ``FILE:LINE`` of what a pattern found, the file alone, or None."""
    groups = {key: value for key, value in found.groupdict().items() if value}
    line = groups.pop("line", None) or groups.pop("number", None)
    path = next(iter(groups.values()), None)
    return "%s:%s" % (path, line) if path and line else path


def _best_location(pattern, lines):
    """Return the location in the last of some lines that has one, rather one with a number."""
    locations = [_location(found) for found in map(pattern.search, reversed(lines)) if found]
    locations = [location for location in locations if location]
    exact = (location for location in locations if location.rpartition(":")[2].isdigit())
    return next(exact, locations[0] if locations else None)


def _of_pooler(kind, pooler):
    """Return the reason for a connection pooler that does not give its client a server."""
    if pooler["process"] in _STOPPED:
        return Reason(
            "frozen",
            "pgbouncer",
            "pgbouncer there is stopped by a signal (pid %d)" % pooler["pid"],
            "Find out who stopped it, then let it continue: kill -CONT %d." % pooler["pid"],
            False,
            [],
        )
    full = list(filter(_is_full, pooler["pools"]))
    if full and kind in (*_NO_ANSWER, "refusal"):
        row = max(full, key=lambda item: (item["waiting"], item["active"]))
        waits = ""
        if row["waiting"]:
            waits = ", and %d clients wait, the first for %d s" % (row["waiting"], row["seconds"])
        return Reason(
            "pool_exhausted",
            "%s/%s" % (row["database"], row["user"]),
            "all %d connections of pgbouncer's pool for %s of %s are in use%s"
            % (row["active"], row["database"], row["user"], waits),
            "End the clients that hold them (SHOW CLIENTS), raise default_pool_size, or use"
            " pool_mode = transaction.",
            False,
            [],
        )
    return None


def _is_full(row):
    """Return whether a pool has no server for the next client."""
    return not row["idle"] and bool(row["waiting"] or row["size"] and row["active"] >= row["size"])
