# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd and the journal say of a unit's last attempt to start."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._host import systemctl
from ansible_collections.sergas.ops.plugins.module_utils._host.journal import Journal, text_of

_LINES = 80
_WINDOW = 30 * 86400
_PROPERTIES = (
    "Id ActiveState Result ExecMainCode ExecMainStatus ExecCondition ExecStartPre Requires BindsTo"
    " Requisite StatusText User WorkingDirectory"
).split()
#: What these units are of is no program that can fail.
_NO_PROGRAM = (".slice", ".target")


def read(unit, now, deadline):
    """Return {properties, lines, needs, conditions} of the last attempts to start a unit.

    Args:
        unit: its name, with the suffix.
        now: the time of the diagnosis, in seconds since the epoch.
        deadline: a ``Deadline``.

    Returns:
        properties of systemctl; lines, the newest last: {at, systemd (whether it is systemd's),
        pid, invocation, text}; needs: {unit: ActiveState} of the units that it requires;
        conditions: those of its files, each as ``ConditionX=value``.

    Raises:
        SystemctlError: systemd does not answer.
        JournalUnreadable: the journal cannot be read.
        CommandMissing: there is no journalctl.
    """
    properties = systemctl.show(unit, _PROPERTIES, deadline)
    names = [
        name
        for key in ("Requires", "BindsTo", "Requisite")
        for name in properties.get(key, "").split()
        if not name.endswith(_NO_PROGRAM)
    ]
    needs = {name: systemctl.show(name, ["ActiveState"], deadline) for name in names[:5]}
    return {
        "properties": properties,
        "lines": _lines(unit, now, deadline),
        "needs": {name: found.get("ActiveState") for name, found in needs.items()},
        "conditions": _conditions(unit, deadline),
    }


def _conditions(unit, deadline):
    """Return the conditions in the files of a unit: systemd before 249 does not log which one was
    not met, and shows none.
    """
    try:
        text = systemctl.run("cat", "--no-pager", "--", unit, deadline=deadline)
    except systemctl.SystemctlError:
        return []
    lines = [line.strip() for line in text.splitlines()]
    return [line[:300] for line in lines if line.startswith(("Condition", "Assert"))][:10]


def _lines(unit, now, deadline):
    selected = ["--lines=%d" % _LINES, "_SYSTEMD_UNIT=" + unit, "+", "_PID=1", "UNIT=" + unit]
    journal = Journal(selected, now - _WINDOW, deadline)
    lines = []
    for chunk in journal.chunks():
        for entry in reversed(chunk):
            own = entry.get("_PID") == "1"
            key = "INVOCATION_ID" if own else "_SYSTEMD_INVOCATION_ID"
            for text in reversed(text_of(entry.get("MESSAGE")).split("\n")):
                lines.append(
                    {
                        "at": int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6,
                        "systemd": own,
                        "pid": entry.get("_PID"),
                        "invocation": entry.get(key),
                        "text": text,
                    }
                )
    return lines[::-1]
