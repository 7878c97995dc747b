# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PostgreSQL cluster on this host: which one, its files, its programs, its start and stop."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import tempfile
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core import files, process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import conf

#: pg_dropcluster and friends call the pair "VERSION NAME"; name is None outside of Debian.
Cluster = namedtuple(
    "Cluster", "version name port owner data_directory config_file log_file programs service"
)

OLDEST_VERSION = 13

PROGRAM_DIRECTORIES = (
    "/usr/lib/postgresql/%d/bin",
    "/usr/pgsql-%d/bin",
    "/usr/local/pgsql-%d/bin",
    "/usr/lib64/postgresql-%d/bin",
)
#: One row of `postgres --describe-config`.
Described = namedtuple("Described", "name context vartype")

_LOG = re.compile(
    r"^(?:.*?\s)?(?P<level>LOG|FATAL|PANIC|ERROR|WARNING|HINT|DETAIL):\s+(?P<text>.*)$"
)


class ClusterError(OperationError):
    """There is no such cluster, or more than one; the message names what there is."""


class ProgramFailed(OperationError):
    """A program of PostgreSQL ended with an error; the message is its own."""


def parse_clusters(text):
    """Return the ``Cluster``s of `pg_lsclusters --no-header`."""
    found = []
    for line in text.splitlines():
        fields = line.split(None, 6)
        if len(fields) < 6 or not re.match(r"\d+(?:\.\d+)?$", fields[0]):
            continue
        version, name, port, _status, owner, data = fields[:6]
        major = int(version.split(".")[0])
        found.append(
            Cluster(
                version=major,
                name=name,
                port=int(port) if port.isdigit() else None,
                owner=owner,
                data_directory=data,
                config_file="/etc/postgresql/%s/%s/postgresql.conf" % (version, name),
                log_file=fields[6].strip() if len(fields) > 6 else None,
                programs="/usr/lib/postgresql/%s/bin" % version,
                service=None,
            )
        )
    return found


def choose(clusters, version=None, name=None, port=None, data_directory=None):
    """Return the one cluster that is meant.

    Raises:
        ClusterError: none is, or more than one.
    """
    wanted = {"version": version, "cluster": name, "port": port, "data_directory": data_directory}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    fitting = [
        cluster
        for cluster in clusters
        if version in (None, cluster.version)
        and name in (None, cluster.name)
        and port in (None, cluster.port)
        and (
            data_directory is None
            or os.path.realpath(data_directory) == os.path.realpath(cluster.data_directory)
        )
    ]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join("%d/%s (port %s)" % (c.version, c.name, c.port) for c in fitting or clusters)
    if fitting:
        raise ClusterError(
            "several PostgreSQL clusters are meant: %s; choose with version and cluster" % there
        )
    requested = ", ".join("%s %s" % item for item in sorted(wanted.items()))
    raise ClusterError(
        "no PostgreSQL cluster%s here; there is %s"
        % (" with %s" % requested if requested else "", there or "none")
    )


def locate(version, name, port, data_directory, service, deadline):
    """Return the ``Cluster`` that the options mean.

    Raises:
        ClusterError: none is, or more than one.
    """
    clusters = []
    if process.find("pg_lsclusters"):
        status, out, err = process.run(["pg_lsclusters", "--no-header"], deadline)
        if status:
            raise ClusterError("pg_lsclusters: %s" % err.strip())
        clusters = parse_clusters(out)
    known = {os.path.realpath(cluster.data_directory) for cluster in clusters}
    if data_directory and os.path.realpath(data_directory) not in known:
        return _by_directory(data_directory, version, port, service)
    cluster = _supported(choose(clusters, version, name, port, data_directory))
    return cluster._replace(service=service) if service else cluster


def _supported(cluster):
    if cluster.version < OLDEST_VERSION:
        raise ClusterError(
            "the cluster in %s is of PostgreSQL %d: %d is the oldest that is supported"
            % (cluster.data_directory, cluster.version, OLDEST_VERSION)
        )
    return cluster


def _by_directory(data_directory, version, port, service):
    """Return a cluster that Debian's tools do not know, by its data directory."""
    try:
        # The directory is the server's own user's, who can put links there.
        version_file = files.read_text(os.path.join(data_directory, "PG_VERSION"), 64)
        major = int(float(version_file.strip()))
        owner = pwd.getpwuid(files.stat_directory(data_directory).st_uid).pw_name
    except files.FileRefused as error:
        raise ClusterError(str(error))
    except (OSError, ValueError, KeyError) as error:
        raise ClusterError("%s is no data directory of PostgreSQL: %s" % (data_directory, error))
    if version is not None and version != major:
        raise ClusterError("%s is of PostgreSQL %d, not %d" % (data_directory, major, version))
    cluster = Cluster(major, None, port, owner, data_directory, None, None, None, service)
    _supported(cluster)
    running = pid_of(data_directory) is not None
    if running:
        # The name that the server itself has for it: its files are distinguished by their paths.
        data_directory = _pid_file(data_directory)[1].strip()
    return cluster._replace(
        port=port or port_of(data_directory),
        data_directory=data_directory,
        config_file=_started_with(data_directory)
        or os.path.join(data_directory, "postgresql.conf"),
        log_file=_standard_error(pid_of(data_directory)),
        programs=_programs(major, data_directory),
    )


def _started_with(data_directory):
    """Return the config_file that the server was last started with, if it was given one."""
    with contextlib.suppress(OSError):
        text = files.read_text(os.path.join(data_directory, "postmaster.opts"))
        match = re.search(r"config[_-]file=([^\"\s]+)", text)
        return match.group(1) if match else None
    return None


def _standard_error(pid):
    """Return the file that a process writes its errors to, or None where that is no file."""
    with contextlib.suppress(OSError, TypeError):
        path = os.readlink("/proc/%d/fd/2" % pid)
        return path if os.path.isfile(path) else None
    return None


def _programs(major, data_directory):
    running = pid_of(data_directory)
    if running is not None:
        with contextlib.suppress(OSError):
            return os.path.dirname(os.readlink("/proc/%d/exe" % running))
    candidates = [directory % major for directory in PROGRAM_DIRECTORIES]
    found = shutil.which("postgres", path=process.SEARCH_PATH)
    if found:
        candidates.append(os.path.dirname(os.path.realpath(found)))
    for directory in candidates:
        if os.path.exists(os.path.join(directory, "postgres")):
            return directory
    raise ClusterError(
        "the programs of PostgreSQL %d are not here (tried %s)" % (major, ", ".join(candidates))
    )


def _pid_file(data_directory):
    try:
        return files.read_text(os.path.join(data_directory, "postmaster.pid")).splitlines()
    except files.FileRefused as error:
        # Whether the server runs is not known then.
        raise ClusterError(str(error))
    except OSError:
        return []


def pid_of(data_directory):
    """Return the process id of the running server, or None."""
    found = _pid_file(data_directory)
    if not found or not found[0].strip().isdigit():
        return None
    pid = int(found[0])
    try:
        with open("/proc/%d/comm" % pid, encoding="utf-8") as file:
            return pid if file.read().strip() in ("postgres", "postmaster") else None
    except OSError:
        return None


def socket_directory(data_directory):
    """Return the directory of the running server's socket, or None."""
    found = _pid_file(data_directory)
    return found[4].strip() or None if len(found) > 4 else None


def port_of(data_directory):
    """Return the port of the running server, or None."""
    found = _pid_file(data_directory)
    return int(found[3]) if len(found) > 3 and found[3].strip().isdigit() else None


def as_owner(cluster, argv):
    """Return a command line that runs as the system user that the server runs as."""
    if os.geteuid() != 0:
        return argv
    owner = pwd.getpwnam(cluster.owner)
    return [
        "setpriv",
        "--reuid=%d" % owner.pw_uid,
        "--regid=%d" % owner.pw_gid,
        "--init-groups",
    ] + argv


def describe(cluster, deadline):
    """Return {name: ``Described``} of what the server's program itself knows, started or not.

    Raises:
        ProgramFailed: it does not say.
    """
    out = run([os.path.join(cluster.programs, "postgres"), "--describe-config"], deadline)
    kinds = {
        "BOOLEAN": "bool",
        "INTEGER": "integer",
        "REAL": "real",
        "ENUM": "enum",
        "STRING": "string",
    }
    found = {}
    for line in out.splitlines():
        fields = line.split("\t")
        if len(fields) > 3:
            found[fields[0].lower()] = Described(
                fields[0], fields[1], kinds.get(fields[3], "string")
            )
    return found


def control_data(cluster, deadline):
    """Return the lines of pg_controldata as {label: value}.

    Raises:
        ProgramFailed: it cannot read the data directory.
    """
    program = os.path.join(cluster.programs, "pg_controldata")
    out = run(as_owner(cluster, [program, "-D", cluster.data_directory]), deadline)
    return parse_control_data(out)


def parse_control_data(text):
    """Return {label: value} of pg_controldata's output."""
    return {
        label.strip(): value.strip()
        for label, colon, value in (line.partition(":") for line in text.splitlines())
        if colon
    }


def run(argv, deadline):
    """Run a program to its end and return what it prints.

    Raises:
        ProgramFailed: it ended with an error.
    """
    status, out, err = process.run(argv, deadline)
    if status:
        raise ProgramFailed(
            "%s: %s" % (os.path.basename(argv[0]), err.strip() or "it ended with %d" % status)
        )
    return out


def parse_refusals(text, path):
    """Return what a server says against a configuration file, one sentence each.

    Args:
        text: its messages.
        path: the file, which is left out of the sentences.
    """
    found = []
    for line in text.splitlines():
        match = _LOG.match(line)
        if match is None:
            continue
        level, sentence = match.group("level"), match.group("text")
        if level == "HINT" and found:
            found[-1] += " (%s)" % sentence.rstrip(".")
        elif "contains errors" not in sentence:
            found.append(re.sub(r' in file "%s"(?: line \d+)?' % re.escape(path), "", sentence))
    return found


class Candidate:
    """A configuration that the server's own program reads, before any server does.

    It is in a temporary directory, which only its owner can read, and needs no running server.
    """

    def __init__(self, cluster, deadline):
        self._cluster = cluster
        self._deadline = deadline

    def refusals(self, values):
        """Return why the server would refuse these settings, in its own words; empty if it would
        not.

        Args:
            values: {name: value as text}.
        """
        text = "".join("%s = %s\n" % (name, conf.quote(value)) for name, value in values.items())
        with self._file(text) as path:
            status, _out, err = self._run("max_connections", os.path.dirname(path), path)
            return parse_refusals(err, path) or [err.strip()] if status else []

    def meaning(self, name, value):
        """Return what the server makes of a value: in the unit of the setting, spelled its way.

        Raises:
            ProgramFailed: it refuses the value.
        """
        with self._file("%s = %s\n" % (name, conf.quote(value))) as path:
            status, out, err = self._run(name, os.path.dirname(path), path)
            if status:
                raise ProgramFailed("; ".join(parse_refusals(err, path)) or err.strip())
            return out.rstrip("\n")

    def current(self, name):
        """Return what the files as they are give a setting at the next start, or None if it has
        none.
        """
        status, out, _err = self._run(name, self._cluster.data_directory, self._cluster.config_file)
        return None if status else out.rstrip("\n")

    def _run(self, name, data_directory, config_file):
        # With the real data directory, postgresql.auto.conf would hide what the candidate says.
        program = os.path.join(self._cluster.programs, "postgres")
        argv = [program, "-C", name, "-D", data_directory, "-c", "config_file=%s" % config_file]
        # With -C first, PostgreSQL allows root; the owner can always read its own files.
        return process.run(as_owner(self._cluster, argv), self._deadline)

    @contextlib.contextmanager
    def _file(self, text):
        directory = tempfile.mkdtemp(prefix="pg-settings-")  # path: new, of this user's alone
        try:
            path = os.path.join(directory, "postgresql.conf")
            owner = None
            if os.geteuid() == 0:
                entry = pwd.getpwnam(self._cluster.owner)
                owner = entry.pw_uid, entry.pw_gid
            files.replace(path, text.encode("utf-8", "surrogateescape"), owner, 0o600)
            # The server would say that it is missing.
            files.replace(os.path.join(directory, "postgresql.auto.conf"), b"", owner, 0o600)
            if owner is not None:
                # Last: from here on, the owner can put links there.
                os.chown(directory, *owner)  # path: a new directory of root's, in a sticky one
            yield path
        finally:
            shutil.rmtree(directory)  # path: it follows no links


def control_command(cluster, action, seconds):
    """Return the command that starts, stops or restarts a cluster.

    Args:
        action: ``start``, ``stop`` or ``restart``.
        seconds: how long pg_ctl waits.
    """
    if cluster.service:
        return ["systemctl", action, cluster.service]
    if cluster.name is not None:
        return ["pg_ctlcluster", str(cluster.version), cluster.name, action]
    program = os.path.join(cluster.programs, "pg_ctl")
    options = ["-D", cluster.data_directory, "-w", "-t", str(int(seconds)), "-s"]
    if action != "stop":
        # Without it, the server would hold our pipes open for as long as it runs.
        options += ["-l", cluster.log_file or os.path.join(cluster.data_directory, "startup.log")]
    if action != "start":
        options += ["-m", "fast"]
    return as_owner(cluster, [program, action] + options)


def control(cluster, action, deadline):
    """Start, stop or restart a cluster; return (whether the command succeeded, what it said)."""
    try:
        status, out, err = process.run(
            control_command(cluster, action, deadline.remaining()), deadline
        )
    except (process.CommandMissing, DeadlineExceeded) as error:
        return False, str(error)
    return status == 0, (err.strip() or out.strip())


def log_size(cluster):
    """Return the size of the server's log now, for ``log_complaints``."""
    path = newest_log(cluster)
    try:
        status = files.stat(path) if path else None
    except OSError:
        return 0
    return status.st_size if status else 0


def newest_log(cluster):
    """Return the path of the log that the server writes to, or None."""
    if cluster.log_file:
        return cluster.log_file
    directory = os.path.join(cluster.data_directory, "log")
    changed = {}
    with contextlib.suppress(OSError):
        for name in files.names(directory):
            if name.endswith(".log") and not name.startswith("."):
                changed[os.path.join(directory, name)] = None
    changed[os.path.join(cluster.data_directory, "startup.log")] = None
    for path in list(changed):
        status = None
        with contextlib.suppress(OSError):
            status = files.stat(path)
        changed[path] = status.st_mtime if status else None
    there = [path for path in changed if changed[path] is not None]
    return max(there, key=changed.get) if there else None


def log_complaints(cluster, since, most=5):
    """Return the last fatal lines of the server's log, at most so many.

    Args:
        since: the size of the log before.
    """
    path = newest_log(cluster)
    try:
        with files.open_safely(path or "/") as log:
            size = os.fstat(log).st_size
            part = os.pread(log, 1 << 20, since if since <= size else 0)
        text = part.decode("utf-8", "replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        match = _LOG.match(line)
        if match and match.group("level") in ("FATAL", "PANIC"):
            found.append(match.group("text"))
        elif match and match.group("level") in ("HINT", "DETAIL") and found:
            found[-1] += " (%s)" % match.group("text").rstrip(".")
    # Sessions that came while it started are not the reason.
    found = [line for line in found if "the database system is" not in line]
    return found[-most:]
