# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings a server to its settings: validated, written, reloaded, verified, restarted, taken back.

What has to be done is decided in `pg_settings_plan`; here it is carried out.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import errors, files
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    session as postgresql_session,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    calculation as postgresql_calculation,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    cluster as postgresql_cluster,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import conf, values
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    plan as postgresql_plan,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.plan import (
    Live,
    Wanted,
)

#: What the server says of a value that only a start can change; for other settings it is an error.
_WAITS = "setting could not be applied"
#: The server would not find its own files again.
_NOT_OURS = ("data_directory", "config_file")
_CONTRADICTING = (
    "max_connections",
    "superuser_reserved_connections",
    "reserved_connections",
    "wal_level",
    "archive_mode",
    "max_wal_senders",
    "max_replication_slots",
    "min_wal_size",
    "max_wal_size",
)
_ROWS = """
    SELECT name, setting, unit, context, vartype, enumvals, boot_val, source, sourcefile,
      pending_restart,
           pg_catalog.current_setting(name, true) AS shown
    FROM pg_catalog.pg_settings"""
_STATE = """
    SELECT pg_catalog.pg_is_in_recovery() AS standby,
           extract(epoch FROM pg_catalog.pg_conf_load_time())::float8 AS loaded,
           (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser,
           current_user::text AS role"""
_FILE_ERRORS = """
    SELECT f.sourcefile, f.sourceline, f.name, f.error, s.context
    FROM pg_catalog.pg_file_settings f LEFT JOIN pg_catalog.pg_settings s ON lower(s.name) =
      lower(f.name)
    -- Without a file: a line that is gone, of a setting that only a start can change.
    WHERE f.error IS NOT NULL AND f.sourcefile IS NOT NULL"""
_POLL_SECONDS = 0.1
#: A password in a connection string, as it stands in a value or, with its quotes doubled, in a
#: file.
_PASSWORD = re.compile(r"(password\s*=\s*)('{2}(?:[^']|'{4})*?'{2}|'[^']*'|[^\s']+)", re.IGNORECASE)


class SettingsError(OperationError):
    """It cannot be done, or was taken back; the message says why and what state the server is
    in.
    """


@errors.reported()
def run(params, check_mode):
    """Do what the module's options ask for and return its result.

    Raises:
        SettingsError, ValueError, pg_cluster.ClusterError, pg_cluster.ProgramFailed,
        postgresql.PostgresError, DeadlineExceeded: with a message for the person who runs it.
    """
    deadline = Deadline(params["deadline"])
    if params["state"] == "calculated":
        cluster = postgresql_calculation.locate_for_calculation(params, deadline)
        return _calculated(params, cluster, deadline)
    cluster = postgresql_cluster.locate(
        params["version"],
        params["cluster"],
        params["login_port"],
        params["data_directory"],
        params["service"],
        deadline,
    )
    name = params["filename"]
    if "/" in name or name.startswith(".") or not name.endswith(".conf"):
        raise SettingsError(
            "the server reads no file named %s: it needs a plain name that ends in .conf" % name
        )
    return Run(params, cluster, deadline).carry_out(check_mode)


def _control_data(cluster, deadline):
    """Return pg_controldata's lines; none where they cannot be read."""
    if cluster is None:
        return {}
    try:
        return postgresql_cluster.control_data(cluster, deadline)
    except (postgresql_cluster.ProgramFailed, OSError):
        return {}


def _calculated(params, cluster, deadline):
    pid = postgresql_cluster.pid_of(cluster.data_directory) if cluster else None
    calculation = postgresql_calculation.calculate(
        params, cluster, _control_data(cluster, deadline), pid
    )
    wanted = _wanted(calculation.settings, params["settings"])
    result = _describe(calculation)
    result.update(
        changed=False,
        settings={name: _native(want.value) for name, want in wanted.items()},
        why={name: want.why for name, want in wanted.items()},
    )
    return result


def _native(text):
    """Return a number as a number: registered results are easier to use that way."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _describe(calculation):
    if calculation is None:
        return {"warnings": []}
    return {
        "machine": calculation.machine,
        "shared_host": calculation.shared,
        "budget": calculation.budget,
        "postgresql_uses": calculation.uses,
        "warnings": list(calculation.warnings),
    }


def _wanted(calculated, given):
    """Return {name: L(Wanted)}: what is calculated, with what is given on top."""
    wanted = {
        setting.name: Wanted(values.plain(setting.value), setting.why, False)
        for setting in calculated
    }
    for name, value in (given or {}).items():
        key = str(name).strip().lower()
        if key in _NOT_OURS:
            raise SettingsError("%s is not for a file that the server finds by it" % key)
        if isinstance(value, dict):
            raise SettingsError(
                "%s: the value of a setting is a text, a number, a boolean or a list" % key
            )
        if value is None:
            wanted.pop(key, None)
        else:
            wanted[key] = Wanted(values.plain(value), "as given", True)
    return wanted


class RowsAtRest(dict):
    """What stands for the rows of pg_settings where the server is stopped, each asked for when it
    is needed.

    Args:
        candidate: the L(pg_cluster.Candidate), which asks the server's program.
        described: {name: L(pg_cluster.Described)}.
    """

    def __init__(self, candidate, described):
        super().__init__()
        self._candidate = candidate
        self._described = described

    def get(self, name, default=None):
        if name not in self:
            known = self._described.get(name)
            value = self._candidate.current(name) if known else None
            self[name] = None
            if value is not None:
                self[name] = {
                    "name": name,
                    "vartype": known.vartype,
                    "unit": None,
                    "context": known.context,
                    "setting": value,
                    "boot_val": value,
                    "pending_restart": False,
                }
        return self[name] or default


class Run:
    """One run against one cluster."""

    def __init__(self, params, cluster, deadline):
        self._params = params
        self._cluster = cluster
        self._deadline = deadline
        self._auto_file = os.path.join(cluster.data_directory, "postgresql.auto.conf")
        self._path = os.path.join(
            os.path.dirname(cluster.config_file), "conf.d", params["filename"]
        )
        self._backup = os.path.join(os.path.dirname(self._path), ".%s.before" % params["filename"])
        self._candidate = postgresql_cluster.Candidate(cluster, deadline)
        self._warnings = []
        self._unvalidated = []

    def carry_out(self, check_mode):
        """Return the module's result; nothing is touched in check mode."""
        params, cluster = self._params, self._cluster
        pid = postgresql_cluster.pid_of(cluster.data_directory)
        self._refuse_faults()
        state = None
        live = None
        if pid is not None:
            state, live = self._observe()
        control_data = _control_data(cluster, self._deadline)
        calculation, wanted = self._asked_for(control_data, pid, state)
        if live is None:
            live = self._at_rest()
        plan = postgresql_plan.make(
            self._path,
            cluster.config_file,
            self._auto_file,
            wanted,
            calculation.about if calculation else [],
            live,
            _read,
            _names,
            params["tolerance"] / 100.0,
        )
        self._validate(plan, live, control_data)
        result = self._result(plan, calculation, live, wanted)
        if not check_mode:
            self._apply(plan, live, state, result)
        return result

    # What is there

    def _refuse_faults(self):
        tree = conf.Tree(self._cluster.config_file, self._auto_file, _read, _names)
        faults = [fault for fault in tree.faults if fault.path != self._path]
        if faults:
            raise SettingsError(
                "the configuration has errors already, so that the server would not take a"
                " change: %s" % "; ".join("%s line %s: %s" % fault for fault in faults[:5])
            )

    def _connection(self):
        # A restart may have moved it.
        running_port = postgresql_cluster.port_of(self._cluster.data_directory)
        params = dict(self._params, login_port=running_port or self._cluster.port or 5432)
        if not params["login_host"] and not params["login_unix_socket"]:
            params["login_unix_socket"] = postgresql_cluster.socket_folder(
                self._cluster.data_directory
            )
        return params

    def _session(self, deadline=None):
        return postgresql_session.connect(
            self._connection(),
            deadline or self._deadline,
            acting=True,
            name="sergas.ops pg_settings",
            plain=True,
        )

    def _observe(self):
        """Return (state, L(Live)) of the running server; it may be about to accept sessions."""
        starting = None
        while True:
            try:
                session = self._session()
                break
            except postgres_errors.StartingUp as error:
                starting = error
            except (postgres_errors.TimedOut, DeadlineExceeded):
                if starting is None:
                    raise
            if self._deadline.remaining() < 2 * _POLL_SECONDS:
                raise SettingsError(
                    "the server runs and takes no sessions, it says: %s" % starting
                ) from starting
            time.sleep(_POLL_SECONDS)
        with session:
            state = session.rows(_STATE)[0]
            if not state["superuser"]:
                raise SettingsError(
                    "the role %s must be a superuser to see and to reload the server's files"
                    % state["role"]
                )
            faults = [row for row in self._file_errors(session) if row["sourcefile"] != self._path]
            if faults:
                raise SettingsError(
                    "the configuration has errors already, so that the server would not take a"
                    " change: %s" % _file_error_text(faults)
                )
            rows = {row["name"].lower(): row for row in session.rows(_ROWS)}
        return state, Live(rows, stale=_written(self._path) > state["loaded"])

    def _file_errors(self, session):
        return [
            row
            for row in session.rows(_FILE_ERRORS)
            if not (row["error"] == _WAITS and row["context"] == "postmaster")
        ]

    def _at_rest(self):
        """Return L(Live) of the stopped server: what its files give it at the next start."""
        rows = RowsAtRest(
            self._candidate, postgresql_cluster.describe(self._cluster, self._deadline)
        )
        known = {}

        def meaning(name, value):
            if (name, value) not in known:
                try:
                    known[name, value] = self._candidate.meaning(name, value)
                except (postgresql_cluster.ProgramFailed, ValueError):
                    known[name, value] = value
            return known[name, value]

        return Live(rows, running=False, meaning=meaning)

    # What is asked for

    def _asked_for(self, control_data, pid, state):
        """Return (L(pg_calculation.Calculation) or None, {name: L(Wanted)})."""
        params = self._params
        if params["state"] == "absent":
            return None, {}
        calculation, settings = None, []
        if params["tune"]:
            calculation = postgresql_calculation.calculate(params, self._cluster, control_data, pid)
            settings, warnings = postgresql_calculation.for_this_server(
                calculation.settings,
                self._candidate.refusals,
                postgresql_calculation.kernel_has_io_uring(),
            )
            self._warnings += calculation.warnings + warnings
        wanted = _wanted(settings, params["settings"])
        if self._standby(state):
            wanted, refused = postgresql_plan.standby_floor(wanted, control_data)
            if refused:
                raise SettingsError("; ".join(refused))
        return calculation, wanted

    def _standby(self, state):
        if state is not None:
            return state["standby"]
        return os.path.exists(os.path.join(self._cluster.data_directory, "standby.signal"))

    # Whether it may be

    def _validate(self, plan, live, control_data):
        """Refuse what the server would refuse, before anything is written."""
        if not plan.target:
            return
        refused = self._candidate.refusals(plan.target)
        refused += self._unknown(plan.target, live)
        refused += self._missing_libraries(plan.target)
        if not refused:
            segment = control_data.get("Bytes per WAL segment", "")
            refused = postgresql_plan.contradictions(
                lambda name: self._effective(name, plan, live),
                self._cluster.version,
                int(segment) if segment.isdigit() else 16 << 20,
                len(_names(os.path.join(self._cluster.data_directory, "pg_replslot")) or ()),
            )
        if refused:
            raise SettingsError(
                "PostgreSQL refuses the settings, nothing was written: %s" % "; ".join(refused)
            )

    def _unknown(self, target, live):
        """Return refusals of names that a loaded library does not have; note those nothing
        knows.
        """
        if not live.running:
            self._unvalidated += [
                "%s: only the library that defines it knows its values" % n
                for n in target
                if "." in n
            ]
            return []
        prefixes = {name.partition(".")[0] for name in live.rows if "." in name}
        refused = []
        for name in target:
            if name in live.rows or "." not in name:
                continue
            if name.partition(".")[0] in prefixes:
                refused.append('unrecognized configuration parameter "%s"' % name)
            else:
                self._unvalidated.append("%s: the library that defines it is not loaded" % name)
        return refused

    def _missing_libraries(self, target):
        missing = []
        folders = [
            os.path.join(self._cluster.programs, "..", part)
            for part in ("lib", "lib/postgresql", "lib64")
        ]
        # Every build has this one.
        home = next(
            (path for path in folders if os.path.exists(os.path.join(path, "dict_snowball.so"))),
            None,
        )
        for library in (target.get("shared_preload_libraries") or "").split(","):
            library = library.strip().strip('"').replace("$libdir/", "")
            if not library:
                continue
            if home is None:
                self._unvalidated.append(
                    "shared_preload_libraries: the folder of libraries was not found"
                )
                break
            path = library if "/" in library else os.path.join(home, library)
            if not os.path.exists(path) and not os.path.exists(path + ".so"):
                missing.append('could not access file "%s": No such file or directory' % library)
        return missing

    def _effective(self, name, plan, live):
        """Return what a setting will be, in PostgreSQL's spelling, or None."""
        row = live.rows.get(name)
        winner = plan.tree.winner(name)
        if winner is None or row is None:
            return row["setting"] if row else None
        if not live.running:
            return self._candidate.meaning(name, winner.value)
        try:
            value = values.canonical(winner.value, row)
        except values.ValueInvalid:
            return row["setting"]
        return values.plain(value)

    # What comes of it, without a password in it

    def _result(self, plan, calculation, live, wanted):
        restart = bool(plan.restart) and self._params["allow_restart"]
        result = _describe(calculation)
        overridden = [_masked_values(item) for item in plan.overridden]
        result["warnings"] = self._warnings + [
            "%(name)s = %(value)s is overridden by %(by)s: %(effective)s" % item
            for item in overridden
        ]
        result.update(
            changed=plan.before != plan.after
            or plan.main_before != plan.main_after
            or plan.reload
            or restart,
            cluster={
                "version": self._cluster.version,
                "name": self._cluster.name,
                "port": self._cluster.port,
                "data_directory": self._cluster.data_directory,
                "config_file": self._cluster.config_file,
                "server": "running" if live.running else "stopped",
            },
            file=self._path,
            settings={name: _native(_masked(value)) for name, value in plan.target.items()},
            why={name: wanted[name].why for name in plan.target},
            changes=[_masked_values(change) for change in plan.changes],
            reloaded=plan.reload,
            restarted=restart,
            pending_restart=[] if restart else plan.pending,
            restart_required=bool(plan.restart) and not restart,
            overridden=overridden,
            unvalidated=self._unvalidated,
            diff=self._diff(plan),
        )
        if not live.running and plan.target:
            result["unvalidated"] = self._unvalidated + [
                "memory and ports that are only taken at the start: the server is stopped"
            ]
        return result

    def _diff(self, plan):
        diff = [
            {
                "before_header": self._path,
                "after_header": self._path,
                "before": _masked(plan.before or ""),
                "after": _masked(plan.after or ""),
            }
        ]
        if plan.main_before != plan.main_after:
            path = self._cluster.config_file
            diff.append(
                {
                    "before_header": path,
                    "after_header": path,
                    "before": _masked(plan.main_before),
                    "after": _masked(plan.main_after),
                }
            )
        return diff

    # Doing it

    def _apply(self, plan, live, state, result):
        self._write(plan)
        if not live.running:
            self._forget_backup()
            return
        if plan.before != plan.after or plan.main_before != plan.main_after:
            self._check_files(plan)
        if plan.reload:
            self._reload(plan, state)
        if result["restarted"]:
            self._restart(plan)
            left = self._verify_restart(plan)
        else:
            left = [name for name in self._waiting() if name in plan.restart]
        result["pending_restart"] = self._waiting()
        if not left:
            self._forget_backup()

    def _write(self, plan):
        """Write what the plan says; first the file, then the line that includes it."""
        folder = os.path.dirname(self._path)
        try:
            if plan.after != plan.before:
                self._make_folder(folder)
                # The first one is what the server last started with: a killed run must not lose it.
                if files.stat(self._backup) is None:
                    self._put(self._backup, plan.before or "")
                self._put(self._path, plan.after)
            if plan.main_after != plan.main_before:
                self._put(self._cluster.config_file, plan.main_after)
        except OSError as error:
            raise SettingsError(
                "%s could not be written: %s" % (error.filename or self._path, error.strerror)
            )

    def _make_folder(self, folder):
        like = files.stat_directory(os.path.dirname(self._cluster.config_file))
        owner = (like.st_uid, like.st_gid) if os.geteuid() == 0 else None
        files.make_directories(folder, stat.S_IMODE(like.st_mode), owner)

    def _put(self, path, text):
        """Make a file have a text, at once and for good, or not at all; None removes it."""
        # The directory is the server's own user's, who can put links there.
        if text is None:
            files.remove(path)
            return
        like = _status(self._cluster.config_file)
        owner = (like.st_uid, like.st_gid) if os.geteuid() == 0 else None
        mode = stat.S_IMODE(like.st_mode)
        # What it is called until it is whole begins with a dot, which the server does not read.
        files.replace(path, text.encode("utf-8", "surrogateescape"), owner, mode)

    def _check_files(self, plan):
        """Ask the server what it thinks of its files before it reads them; take back what it
        refuses.
        """
        with self._session() as session:
            faults = self._file_errors(session)
        if faults:
            self._take_back(plan)
            raise SettingsError(
                "the server refuses the file, which was taken back before it was read: %s"
                % _file_error_text(faults)
            )

    def _take_back(self, plan):
        self._put(self._path, plan.before)
        if plan.main_after != plan.main_before:
            self._put(self._cluster.config_file, plan.main_before)
        if not plan.restart:
            self._forget_backup()

    def _forget_backup(self):
        """Remove what a later run does not need, drafts of killed runs too."""
        for path in (self._path, self._cluster.config_file):
            folder, name = os.path.split(path)
            for other in _names(folder) or ():
                if other.startswith(".%s." % name):
                    files.remove(os.path.join(folder, other))

    def _reload(self, plan, state):
        """Let the server read its files, and wait until new sessions have what they say."""
        with self._session() as session:
            session.rows("SELECT pg_catalog.pg_reload_conf() AS sent")
        missing = ["the reload itself"]
        while missing:
            if self._deadline.expired():
                raise SettingsError(
                    "the server was told to reload and did not take in time: %s; its log says why"
                    % "; ".join(missing)
                )
            missing = self._not_yet(plan, state["loaded"])
            if missing:
                time.sleep(min(_POLL_SECONDS, self._deadline.remaining()))

    def _not_yet(self, plan, loaded):
        """Return what a new session does not have yet."""
        with self._session() as session:
            if session.rows(_STATE)[0]["loaded"] <= loaded:
                return ["the reload itself"]
            live = Live({row["name"].lower(): row for row in session.rows(_ROWS)})
        missing = []
        for name, value in plan.expected.items():
            row = live.rows.get(name)
            if row is None or live.hidden(name):
                continue
            if value is None and row["sourcefile"] != self._path:
                continue
            if value is None or not live.same(name, value, row["setting"]):
                missing.append("%s is %s" % (name, row["shown"]))
        for name in plan.restart:
            if not live.rows[name]["pending_restart"]:
                missing.append("%s is not marked for a restart" % name)
        return missing

    def _waiting(self):
        with self._session() as session:
            rows = session.rows(
                "SELECT name FROM pg_catalog.pg_settings WHERE pending_restart ORDER BY name"
            )
        return [row["name"] for row in rows]

    def _restart(self, plan):
        """Restart; where the server does not come up, put the old file back and start it again."""
        cluster = self._cluster
        old_pid = postgresql_cluster.pid_of(cluster.data_directory)
        since = postgresql_cluster.log_size(cluster)
        patience = Deadline(self._params["restart_timeout"])
        done, said = postgresql_cluster.control(cluster, "restart", patience)
        if self._comes_up(old_pid, done, patience):
            return
        if postgresql_cluster.pid_of(cluster.data_directory) == old_pid:
            if self._accepts_sessions(Deadline(self._params["deadline"])):
                raise SettingsError(
                    "the server was not restarted and still runs with its old settings, the file is"
                    " in place: %s" % said
                )
            # It takes long to stop, which is not the fault of the settings; it must not stay down
            # for it.
            said = self._start_when_stopped(old_pid)
            if said is None:
                return
        reasons = postgresql_cluster.log_complaints(cluster, since) or [
            said or "no reason is known"
        ]
        self._bring_back(plan, reasons)

    def _start_when_stopped(self, old_pid):
        """Start the server when it has ended at last; return None if it comes up, else what was
        said.
        """
        patience = Deadline(self._params["restart_timeout"])
        while postgresql_cluster.pid_of(self._cluster.data_directory) == old_pid:
            if patience.expired():
                return "the server is told to stop and does not end"
            time.sleep(_POLL_SECONDS)
        patience = Deadline(self._params["restart_timeout"])
        done, said = postgresql_cluster.control(self._cluster, "start", patience)
        return None if self._comes_up(old_pid, done, patience) else said

    def _accepts_sessions(self, deadline):
        try:
            self._session(deadline.within(5)).close()
        except (
            postgres_errors.StartingUp,
            postgres_errors.Refused,
            postgres_errors.ConnectionLost,
            postgres_errors.TimedOut,
        ):
            return False
        except postgres_errors.PostgresError:
            # It answers, if only to refuse.
            return True
        return True

    def _comes_up(self, old_pid, done, patience):
        """Return whether a new server accepts sessions in time."""
        while True:
            pid = postgresql_cluster.pid_of(self._cluster.data_directory)
            if pid is not None and pid != old_pid:
                if self._accepts_sessions(patience):
                    # The restart had its own time.
                    self._deadline = Deadline(self._params["deadline"])
                    return True
            elif not done:
                return False
            if patience.expired():
                return False
            time.sleep(_POLL_SECONDS)

    def _bring_back(self, plan, reasons):
        """Start the server with the file it last started with, and fail."""
        cluster = self._cluster
        old = _read(self._backup)
        if old is None:
            old = plan.before if plan.before != plan.after else ""
        self._put(self._path, old or None)
        if plan.main_after != plan.main_before:
            self._put(cluster.config_file, plan.main_before)
        self._forget_backup()
        patience = Deadline(self._params["restart_timeout"])
        if postgresql_cluster.pid_of(cluster.data_directory) is not None:
            # It hangs with the new settings.
            postgresql_cluster.control(cluster, "stop", patience.within(30))
        done, said = postgresql_cluster.control(cluster, "start", patience)
        up = self._comes_up(None, done, patience)
        raise SettingsError(
            "the server did not start with the new settings (%s); the old file is back and the"
            " server is %s" % ("; ".join(reasons), "up with it" if up else "STILL DOWN: %s" % said)
        )

    def _verify_restart(self, plan):
        """Return the names that a restart should have changed and did not.

        Raises:
            SettingsError: there are any.
        """
        with self._session() as session:
            live = Live({row["name"].lower(): row for row in session.rows(_ROWS)})
        wrong = []
        for name in plan.restart:
            winner = plan.tree.winner(name)
            row = live.rows.get(name)
            if winner and row and not live.same(name, winner.value, row["setting"]):
                wrong.append("%s is %s" % (name, row["shown"]))
        if wrong:
            raise SettingsError("the server was restarted and does not have: %s" % "; ".join(wrong))
        return []


def _masked(text):
    """Return a text without the passwords of the connection strings in it."""
    return _PASSWORD.sub(r"\1********", text)


def _masked_values(item):
    return {key: _masked(value) if isinstance(value, str) else value for key, value in item.items()}


def _file_error_text(errors):
    return "; ".join(
        "%s line %s: %s%s"
        % (
            row["sourcefile"],
            row["sourceline"],
            "%s: " % row["name"] if row["name"] else "",
            row["error"],
        )
        for row in errors[:5]
    )


def _read(path):
    try:
        return files.read_text(path, errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except files.FileRefused as error:
        raise SettingsError(str(error))
    except OSError as error:
        raise SettingsError("%s cannot be read: %s" % (path, error.strerror))


def _status(path):
    status = files.stat(path)
    if status is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return status


def _names(folder):
    try:
        return files.names(folder)
    except OSError:
        return None


def _written(path):
    try:
        status = files.stat(path)
    except OSError:
        return 0.0
    return status.st_mtime if status else 0.0
