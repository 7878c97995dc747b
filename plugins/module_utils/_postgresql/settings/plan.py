# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to happen so that a server has its settings. Pure: files and live state in, a plan out.

The plan comes from what the server has now, not from what this run has changed, so that a run
that was killed between two steps is finished by the next one.
"""

from __future__ import annotations

import os
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import conf, values

#: A requested setting. exact: the tolerance is not for it.
Wanted = namedtuple("Wanted", "value why exact")
#: The server would not find its own files again.
_NOT_OURS = ("data_directory", "config_file")

#: What has to be done and what it will lead to.
#: before, after: text of the owned file, None where there is none.
#: main_before, main_after: text of postgresql.conf.
#: target: {name: value} of the owned file after.
#: changes: [{name, before, after, takes}]; takes: reload, restart, or start (the server is
#: stopped).
#: reload: whether the server has to read its files again. restart: names that need a restart.
#: pending: all names that wait for one when all but the restart is done.
#: expected: {name: value} that the server must have after a reload, only those that can be read;
#:     None for a setting that must no longer come from a file.
#: overridden: [{name, value, effective, by}].
#: tree: the ``conf.Tree`` after.
Plan = namedtuple(
    "Plan",
    "path before after main_before main_after target changes reload restart pending expected"
    " overridden tree",
)

#: What pg_settings.source has for a value that hides what the files say from this session.
_HIDING = ("client", "session", "interactive", "user", "database", "database user", "global")
#: Sources that no file can beat. A value that the server has worked out as its default, such as the
#: path of pg_hba.conf, has the source "override", and is beaten by a file.
_COMMAND = ("command line", "environment variable")


class SettingsError(OperationError):
    """It cannot be done, or was rolled back; the message says why and what state the server is
    in.
    """


def wanted_settings(calculated, given):
    """Return {name: ``Wanted``}: what is calculated, with what is given on top.

    Raises:
        SettingsError: a value is none for a setting, or the setting is none for a file.
    """
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


class Live:
    """What the server has: rows of pg_settings by name, or what stands for them where it is
    stopped.

    Args:
        rows: {name: row}; a row has ``name vartype unit enumvals context setting shown boot_val
            source sourcefile pending_restart``.
        running: whether the rows come from a running server.
        meaning: for a stopped server, a function of (name, value) that returns the value in the
            spelling that the rows have.
        stale: whether the owned file was written after the server last read its files.
    """

    def __init__(self, rows, running=True, meaning=None, stale=False):
        self.rows = rows
        self.running = running
        self.stale = stale
        self._meaning = meaning or (lambda name, value: value)

    def same(self, name, one, other, tolerance=0.0):
        """Return whether two values mean the same for a setting."""
        if one == other:
            return True
        row = self.rows.get(name) or {"name": name, "vartype": "string"}
        try:
            return values.same(self._meaning(name, one), self._meaning(name, other), row, tolerance)
        except values.ValueInvalid:
            # What is there cannot be a value: not the one that is wanted.
            return False

    def value(self, name):
        """Return the value now, or None if it cannot be read."""
        row = self.rows.get(name)
        return None if row is None or self.hidden(name) else row["setting"]

    def hidden(self, name):
        """Return whether a session cannot see what the files give a setting."""
        row = self.rows.get(name)
        return row is None or row.get("source") in _HIDING

    def context(self, name):
        """Return when a setting can change: postmaster, sighup, user, and so on."""
        row = self.rows.get(name)
        return row["context"] if row else "user"


def target_values(wanted, before, underneath, live, tolerance):
    """Return {name: value} that the owned file should have.

    A value that is already there, in the owned file or without it, within the tolerance, stays.

    Args:
        wanted: {name: ``Wanted``}.
        before: {name: value} of the owned file now.
        underneath: function of a name that returns its value without the owned file, or None.
        live: ``Live``.
        tolerance: a share, for example 0.05.
    """
    target = {}
    for name, want in wanted.items():
        share = 0.0 if want.exact else tolerance
        if name in before:
            keep = live.same(name, want.value, before[name], share)
            target[name] = before[name] if keep else want.value
            continue
        there = underneath(name)
        if there is None or not live.same(name, want.value, there, share):
            target[name] = want.value
    return target


def make(path, config_file, auto_file, wanted, about, live, read, names, tolerance):
    """Return the ``Plan``.

    Args:
        path: of the owned file.
        config_file: postgresql.conf.
        auto_file: postgresql.auto.conf.
        wanted: {name: ``Wanted``}; empty to have no file at all.
        about: sentences on top of the owned file.
        live: ``Live``.
        read, names: as for ``conf.Tree``.
        tolerance: a share of the value that is there.
    """
    before = read(path)
    owned = conf.settings(before) if before is not None else {}
    without = conf.Tree(config_file, auto_file, *conf.overlay(read, names, {path: None}))

    def underneath(name):
        entry = without.winner(name)
        if entry is not None:
            return entry.value
        row = live.rows.get(name)
        if row is None:
            return None
        # What a session or a line that is gone gave it is not what the server will have.
        return row["boot_val"] if live.hidden(name) or _from_file(row) else row["setting"]

    target = target_values(wanted, owned, underneath, live, tolerance)
    reasons = {name: wanted[name].why for name in target}
    if not target:
        after = None
    elif target == owned and _sound(before):
        after = before
    else:
        after = conf.render(target, reasons, about)
    main_before = read(config_file) or ""
    main_after = _main(main_before, after, path, config_file, auto_file, read, names)
    changed = {path: after}
    if main_after != main_before:
        changed[config_file] = main_after
    tree = conf.Tree(config_file, auto_file, *conf.overlay(read, names, changed))
    return _outcome(path, before, after, main_before, main_after, owned, target, tree, live)


def _sound(text):
    """Return whether the owned file has nothing in it but settings, each once."""
    found = [name and name.lower() for _number, name, _value in conf.lines(text)]
    return len(set(found)) == len(found) and not {
        None,
        "include",
        "include_dir",
        "include_if_exists",
    } & set(found)


def _main(text, after, path, config_file, auto_file, read, names):
    """Return postgresql.conf as it should be: it includes the directory while there is a file."""
    directory = os.path.dirname(path)
    tree = conf.Tree(config_file, auto_file, *conf.overlay(read, names, {path: after}))
    if after is not None:
        if tree.includes(directory):
            return text
        return conf.with_include(text, os.path.relpath(directory, os.path.dirname(config_file)))
    others = [
        name
        for name in names(directory) or ()
        if name.endswith(".conf") and name != os.path.basename(path)
    ]
    return text if others else conf.without_include(text)


def _outcome(path, before, after, main_before, main_after, owned, target, tree, live):
    concerned = list(target)
    concerned += [name for name in owned if name not in target]
    rows = list(live.rows.items()) if live.running else []
    concerned += [
        name
        for name, row in rows
        # A run that was killed after it removed the file, or a line of it.
        if row.get("sourcefile") == path and name not in concerned
    ]
    changes, pending, expected, overridden = [], [], {}, []
    reload = before != after or main_before != main_after
    for name in concerned:
        winner = tree.winner(name)
        value = winner.value if winner else None
        if owned.get(name) != target.get(name):
            changes.append(_change(name, owned, target, live))
        loser = _overridden(name, path, target, winner, live)
        if loser:
            overridden.append(loser)
        if not live.running or _source(live, name) in _COMMAND:
            continue
        if live.context(name) == "postmaster":
            waits = _waits(name, value, live)
            if waits:
                pending.append(name)
            if waits != bool(live.rows[name]["pending_restart"]):
                reload = True
        elif live.hidden(name):
            reload = reload or (live.stale and before is not None)
        elif value is not None:
            expected[name] = value
            reload = reload or not live.same(name, value, live.value(name))
        elif _from_file(live.rows[name]):
            expected[name] = None
            reload = True
    others = [name for name, row in rows if row.get("pending_restart") and name not in concerned]
    return Plan(
        path,
        before,
        after,
        main_before,
        main_after,
        target,
        changes,
        reload and live.running,
        pending,
        sorted(pending + others),
        expected,
        overridden,
        tree,
    )


def _from_file(row):
    return row.get("source") == "configuration file"


def _source(live, name):
    row = live.rows.get(name)
    return row.get("source") if row else None


def _waits(name, value, live):
    """Return whether a setting that only a start can change will wait for one after a reload."""
    row = live.rows[name]
    if value is None:
        # The server does not check the value when a line is gone.
        return _from_file(row)
    return not live.same(name, value, row["setting"])


def _change(name, owned, target, live):
    row = live.rows.get(name) or {}
    takes = "start"
    if live.running:
        takes = "restart" if live.context(name) == "postmaster" else "reload"
    before = owned.get(name)
    if before is None:
        before = row.get("shown") or row.get("setting")
    return {"name": name, "before": before, "after": target.get(name), "takes": takes}


def _overridden(name, path, target, winner, live):
    if name not in target:
        return None
    row = live.rows.get(name) or {}
    if live.running and row.get("source") in _COMMAND:
        by, effective = "the server's %s" % row["source"], row["shown"]
    elif winner is not None and winner.path != path:
        by, effective = "%s line %d" % (winner.path, winner.line), winner.value
    else:
        return None
    if live.same(name, target[name], effective):
        return None
    return {"name": name, "value": target[name], "effective": effective, "by": by}


def contradictions(effective, version, segment_bytes, slots):
    """Return why a server would not start with these settings together, though each is fine alone.

    Args:
        effective: function of a name that returns its value after the change as PostgreSQL
            spells it: numbers in the setting's own unit.
        version: the major version.
        segment_bytes: size of a WAL segment.
        slots: how many replication slots there are.
    """
    found = []
    most = _number(effective("max_connections"), 100)
    own = _number(effective("superuser_reserved_connections"), 3)
    extra = _number(effective("reserved_connections"), 0) if version >= 16 else 0
    if own + extra >= most:
        found.append(
            "superuser_reserved_connections (%d)%s must be less than max_connections (%d)"
            % (own, " plus reserved_connections (%d)" % extra if version >= 16 else "", most)
        )
    if effective("wal_level") == "minimal":
        if effective("archive_mode") not in ("off", None):
            found.append('WAL archival cannot be enabled when wal_level is "minimal"')
        if _number(effective("max_wal_senders"), 10) > 0:
            found.append(
                'WAL streaming (max_wal_senders > 0) requires wal_level "replica" or "logical"'
            )
        if slots:
            found.append(
                "there are %d replication slots, which need wal_level replica or logical" % slots
            )
    if slots > _number(effective("max_replication_slots"), 10):
        found.append(
            "there are %d replication slots, which max_replication_slots must not be below" % slots
        )
    for name in ("min_wal_size", "max_wal_size"):
        megabytes = effective(name)
        if megabytes is not None and int(float(megabytes)) * 1024 * 1024 < 2 * segment_bytes:
            found.append(
                '"%s" must be at least twice "wal_segment_size" (%dMB)'
                % (name, segment_bytes >> 20)
            )
    return found


def _number(text, default):
    return default if text is None else int(float(text))


#: What must not be lower on a standby than on its primary, by the labels of pg_controldata.
STANDBY_LEAST = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}


def standby_floor(wanted, control_data):
    """Return (wanted with calculated values raised to the primary's, refusals of exact ones).

    Args:
        wanted: {name: ``Wanted``}.
        control_data: {label: value} of pg_controldata of a standby.
    """
    raised, refused = dict(wanted), []
    for name, label in STANDBY_LEAST.items():
        least = control_data.get(label, "")
        if name not in wanted or not least.isdigit():
            continue
        try:
            value = values.number(wanted[name].value)
        except values.ValueInvalid:
            # The server's own program says what is wrong with it.
            continue
        if value >= int(least):
            continue
        if wanted[name].exact:
            refused.append(
                "%s = %s is below the primary's %s: this standby would not start"
                % (name, wanted[name].value, least)
            )
        else:
            raised[name] = Wanted(least, "the primary's, which a standby must not be below", False)
    return raised, refused
