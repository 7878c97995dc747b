# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets jails up: tested in a copy of the configuration, written, started, verified, rolled back.

A server that has died looks like one that has nothing to do. So what counts is what the
server itself says afterwards.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Dict, List, NamedTuple

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, errors, process
from ansible_collections.sergas.ops.plugins.module_utils._core import files as core_files
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import (
    bans,
    client,
    configuration,
    rules,
    trial,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import systemctl, unit

_POLL_SECONDS = 0.2
#: Bans whose rule is looked up at most, in each jail: each is a command.
_MOST_LOOKUPS = 20


class SetupError(OperationError):
    """It cannot be done or was rolled back; the message says why and what holds now."""


class Plan(NamedTuple):
    """What is to be done on the host (plain data)."""

    #: {relative path: (old text or None, new text or None)} of the files that differ
    files: Dict[str, tuple]
    enable: bool
    restart: bool
    #: [(jail, address)] of the protected addresses that are banned
    unban: List[tuple]
    #: whether the server runs before
    was_running: bool = False

    @property
    def changes(self):
        """Whether anything is to be done."""
        return bool(self.files or self.enable or self.restart or self.unban)


@errors.reported()
def run(params, check_mode):
    """Do what the module's options say and return its result, with the key ``warnings``.

    Raises:
        OperationError, OSError: with a message for the person who runs it.
    """
    deadline = Deadline(params["timeout"])
    configuration.check_paths(params["files"])
    protected, _unknown = bans.resolve(params["protected"])
    params = dict(params, protected=protected)
    files, revision = configuration.with_revision(params["files"])
    before = configuration.read_own(params["config_dir"])
    changed = configuration.differences(before, files)
    if process.find("fail2ban-client") is None:
        if not check_mode:
            raise SetupError("fail2ban is not installed")
        # Debian's package enables the service when it is installed.
        plan = Plan(changed, False, True, [])
        return _result(params, plan, [], [], None, False)
    overridden = configuration.read_overrides(params["config_dir"], files)
    wanted, database = trial.test(params, files, bool(changed), deadline)
    missing = sorted(set(params["jails"]) - set(wanted))
    switched_off = {item["jail"] for item in overridden if item["key"] == "enabled"}
    if set(missing) - switched_off:
        raise SetupError("the files enable no jail %s" % ", ".join(missing))
    jails = [name for name in params["jails"] if name in wanted]
    trial.refuse_no_input([wanted[name] for name in jails], deadline)
    plan = _plan(params, changed, jails, wanted, revision, deadline)
    if plan.changes and not check_mode:
        plan = _carry_out(params, plan, jails, wanted, revision)
    return _result(params, plan, jails, overridden, database, True)


def _result(params, plan, jails, overridden, database, installed):
    diff = [
        {
            "before_header": os.path.join(params["config_dir"], path),
            "after_header": os.path.join(params["config_dir"], path),
            "before": old or "",
            "after": new or "",
        }
        for path, (old, new) in plan.files.items()
    ]
    state = {"enabled": not plan.enable, "unbanned": []}
    after = {"enabled": True, "unbanned": ["%s from %s" % (ip, jail) for jail, ip in plan.unban]}
    if state != after:
        diff.append(
            {
                "before_header": client.UNIT,
                "after_header": client.UNIT,
                "before": state,
                "after": after,
            }
        )
    warnings = [
        "%(file)s sets %(key)s of the jail %(jail)s to %(theirs)r, which counts over %(ours)r"
        % item
        for item in overridden
    ]
    return {
        "changed": plan.changes,
        "files": sorted(plan.files),
        "enabled": plan.enable,
        "restarted": plan.restart,
        "was_running": plan.was_running,
        "database": database,
        "unbanned": [{"jail": jail, "address": address} for jail, address in plan.unban],
        "jails": jails if installed else list(params["jails"]),
        "overridden": overridden,
        "diff": diff,
        "warnings": warnings,
    }


# What is there


def _plan(params, changed, jails, wanted, revision, deadline):
    state, reason = unit.read(client.UNIT, deadline)
    if reason or state["LoadState"] != "loaded":
        raise SetupError("%s: %s" % (client.UNIT, reason or "it is " + state["LoadState"]))
    restart, unban = True, []
    running = state.get("ActiveState") == "active"
    if running:
        try:
            with client.Server() as server:
                restart = bool(changed) or not _is_loaded(server, jails, wanted, revision)
                restart = restart or not _verified(params, deadline) or _lost(server, deadline)
                unban = _legitimate(server, params["protected"])
        except client.ServerDown:
            restart = True
    enable = state.get("UnitFileState") not in ("enabled", "static", "alias")
    return Plan(changed, enable, restart, unban, running)


def _is_loaded(server, jails, wanted, revision):
    """Return whether the server runs our jails as the files have them now."""
    running = server.jails()
    for name in jails:
        if name not in running:
            return False
        actions = server.query("get", name, "actions")
        if set(actions) != set(wanted[name].actions):
            return False
        for action, properties in wanted[name].actions.items():
            # An operator's own action knows nothing of our revision.
            if "revision" in properties:
                if server.query("get", name, "action", action, "revision") != revision:
                    return False
    return True


def _verified(params, deadline):
    """Return whether all commands that verify the bans' rules exit 0."""
    return all(process.run(argv, deadline)[0] == 0 for argv in params["verify_commands"])


def _lost(server, deadline):
    """Return whether a ban of ours is missing in the firewall; a restart makes all of them anew."""
    for name in server.jails():
        jail = server.jail(name)
        for address in jail.banned[:_MOST_LOOKUPS]:
            if rules.holds(jail.actions, name, address, deadline) is False:
                return True
    return False


def _legitimate(server, protected):
    """Return [(jail, address)] of the banned addresses that must not be."""
    found = []
    for name in server.jails():
        for address in server.jail(name).banned:
            if addresses.covering(protected, address):
                found.append((name, address))
    return found


# What is done


def _carry_out(params, plan, jails, wanted, revision):
    """Do what is planned and return the plan with what else had to be done."""
    try:
        _write(params["config_dir"], {path: new for path, (_old, new) in plan.files.items()})
        deadline = Deadline(params["timeout"])
        if plan.enable:
            systemctl.run("enable", client.UNIT, deadline=deadline)
        if plan.restart:
            systemctl.run("restart", client.UNIT, deadline=deadline)
        unbanned = _inspect(params, jails, wanted, revision, deadline)
    except Exception as error:
        if not plan.files:
            raise
        _write(params["config_dir"], {path: old for path, (old, _new) in plan.files.items()})
        held = Deadline(params["timeout"])
        with contextlib.suppress(systemctl.SystemctlError):
            systemctl.run("restart", client.UNIT, deadline=held)
        raise SetupError(
            "%s. The old files were restored; the server is %s" % (error, _final_activity(held))
        )
    return plan._replace(unban=sorted(set(plan.unban) | set(unbanned)))


def _inspect(params, jails, wanted, revision, deadline):
    """Wait until the server runs the jails, and take protected addresses out of them.

    Raises:
        SetupError: it does not in time.
    """
    reason = "it did not start"
    while not deadline.expired():
        try:
            if _activity(deadline) in ("failed", "inactive"):
                raise SetupError("fail2ban died at its start: %s" % _last_words(Deadline(5)))
            with client.Server(timeout=max(0.5, deadline.remaining())) as server:
                if not _is_loaded(server, jails, wanted, revision):
                    running = ", ".join(server.jails()) or "none"
                    reason = "it runs the jails %s instead of %s" % (running, ", ".join(jails))
                else:
                    reason = "the rules that its bans rest on are not in the firewall"
                    if _verified(params, deadline):
                        legitimate = _legitimate(server, params["protected"])
                        for name, address in legitimate:
                            server.query("set", name, "unbanip", address)
                        return legitimate
        except (client.ServerDown, client.Refused) as error:
            reason = str(error)
        except DeadlineExceeded:
            break
        time.sleep(_POLL_SECONDS)
    words = _last_words(Deadline(5))
    raise SetupError(
        "fail2ban is not ready after %g s: %s. %s" % (params["timeout"], reason, words)
    )


def _activity(deadline):
    return unit.read(client.UNIT, deadline)[0].get("ActiveState", "unknown")


def _final_activity(deadline):
    """Return the server's activity, once that changes no more."""
    while not deadline.expired():
        state = _activity(deadline)
        if state != "active":
            return state
        try:
            with client.Server() as server:
                server.jails()
            return state
        except (client.ServerDown, client.Refused):
            time.sleep(_POLL_SECONDS)
    return "silent"


def _write(config, files):
    """Write files whole, in one step each; None removes one."""
    for path, text in files.items():
        target = os.path.join(config, path)
        if text is None:
            core_files.remove(target)
        else:
            core_files.replace(target, text.encode("utf-8"), mode=0o644)


def _last_words(deadline):
    argv = [
        "journalctl",
        "--unit=" + client.UNIT,
        "--lines=20",
        "--output=cat",
        "--no-pager",
        "--quiet",
    ]
    _status, out, _err = process.run(argv, deadline)
    try:
        # In some distributions a group may write the directory of logs.
        with core_files.open_safely("/var/log/fail2ban.log") as log:
            tail = os.pread(log, 8192, max(0, os.fstat(log).st_size - 8192))
        out += tail.decode("utf-8", "replace")
    except OSError:
        pass
    return trial.summary(out)
