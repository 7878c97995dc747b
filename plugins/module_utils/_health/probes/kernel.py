# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host does to its services: failing disks, mounts that hang, denials, limits of tasks."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observed
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._host import cgroup, kernel_log, stuck
from ansible_collections.sergas.ops.plugins.module_utils._host import unit as host_unit

#: Which of several causes a finding with an id has, see docs/findings.md.
REASONS = {
    "host.device.errors": ("device",),
    "host.filesystem.errors": ("filesystem",),
    "app.denied": ("apparmor", "seccomp"),
}
#: Left of the deadline for what comes after reading the log.
_RESERVE_SECONDS = 0.5
#: How many subjects of one kind are named.
_SHOWN = 5


def observe(ctx):
    """Return the kernel's lines by kind within the window, and the processes that hang in it.

    Raises:
        JournalUnreadable: there is no journal, or this user may not read it.
        CommandMissing: there is no journalctl.
    """
    waiting = stuck.observe(ctx.deadline)
    deadline = Deadline(max(0.1, ctx.deadline.remaining() - _RESERVE_SECONDS))
    lines, whole = kernel_log.read(ctx.now - ctx.params["window"], deadline)
    denied = [
        dict(kernel_log.denial(subject), count=item["count"], last=item["last"])
        for subject, item in lines.pop("denied", {}).items()
    ]
    value = {"lines": lines, "denied": denied, "stuck": waiting, "contained": cgroup.contained()}
    gaps = {}
    if not whole:
        gaps["window"] = "the kernel's log could not be read to its beginning in time"
    if not lines and not denied and not kernel_log.is_kept(ctx.deadline):
        # A container's kernel is that of another host, which keeps its log.
        value["kept"] = False
        if not value["contained"]:
            gaps["source"] = "the journal keeps no lines of the kernel (ReadKMsg in journald.conf)"
    return Observed(value, gaps)


def decide(ctx, kernel):
    """Return the findings about disks, file systems, mounts, denials and tasks."""
    service = host_unit.name(ctx.params["service"])
    found = [
        *_storage(kernel["lines"]),
        *_mounts(kernel),
        *_denials(kernel["denied"], ctx.unit, ctx.app_dir),
        *_tasks(kernel["lines"], service),
        *_conntrack(kernel["lines"]),
    ]
    if found:
        return found
    if not kernel.get("kept", True) and kernel["contained"]:
        summary = "The kernel's log is that of the host this container runs on"
        return [finding("host.kernel.skipped", "host", "skipped", summary)]
    summary = "The kernel reports no failing disk, hanging mount, denial or limit"
    return [finding("host.kernel.ok", "host", "ok", summary)]


def _last(subjects):
    """Return (names, evidence) of what the kernel has reported, the latest first."""
    names = sorted(subjects, key=lambda name: -subjects[name]["last"])
    newest = subjects[names[0]]
    return names, {
        "subjects": names[:_SHOWN],
        "count": sum(item["count"] for item in subjects.values()),
        "last_seen": times.clock(newest["last"]),
        "line": newest["line"],
    }


def _storage(lines):
    found = []
    for kind, id, what in (
        ("device", "host.device.errors", "requests fail on the device"),
        ("filesystem", "host.filesystem.errors", "there are errors in the file system on"),
    ):
        if lines.get(kind):
            names, evidence = _last(lines[kind])
            found.append(
                finding(
                    id,
                    "host",
                    "fail",
                    "The kernel has reported %d times that %s %s, last at %s: %s"
                    % (
                        evidence["count"],
                        what,
                        ", ".join(names[:_SHOWN]),
                        evidence["last_seen"],
                        evidence["line"],
                    ),
                    reason="%s:%s" % (kind, names[0]),
                    evidence=evidence,
                    advice="Save the data first; then check the device (smartctl -a) and the"
                    " file system, which is not mounted meanwhile (fsck).",
                )
            )
    return found


def _mounts(kernel):
    hanging = {}
    for item in kernel["stuck"]:
        if item["mount"]:
            hanging.setdefault((item["mount"]["path"], item["mount"]["server"]), []).append(item)
    found = []
    for (path, server), items in sorted(hanging.items()):
        found.append(
            finding(
                "host.mount.hung",
                "host",
                "fail",
                "%s (%s) does not answer: %s (pid %d, %s) hangs in it"
                % (
                    path,
                    server,
                    items[0]["command"],
                    items[0]["pid"],
                    items[0]["unit"] or "no unit",
                ),
                reason="mount:" + path,
                evidence={"mount": path, "server": server, "processes": items[:_SHOWN]},
                advice="Bring the server %s back, or unmount it: umount --lazy --force %s."
                % (server, path),
            )
        )
    silent = kernel["lines"].get("mount")
    if silent and not found:
        names, evidence = _last(silent)
        found.append(
            finding(
                "host.mount.hung",
                "host",
                "warn",
                "The server %s of a remote file system did not answer, last at %s"
                % (names[0], evidence["last_seen"]),
                reason="server:" + names[0],
                evidence=evidence,
                advice="Check whether that server is reachable, and what is mounted from it.",
            )
        )
    return found


def _denials(denied, unit, app_dir):
    """Return the finding about what a security module has denied the app's unit."""
    profile = (unit.get("AppArmorProfile") or "").strip("- ")
    own = [
        item
        for item in denied
        if _command(unit) == item.get("comm")
        or profile
        and item.get("profile") == profile
        or item.get("exe", "").startswith(app_dir + "/")
        or item.get("profile", "").startswith(app_dir + "/")
    ]
    if not own:
        return []
    newest = max(own, key=lambda item: item["last"])
    if newest["by"] == "apparmor":
        what = "AppArmor (profile %s) denies it %s of %s" % (
            newest.get("profile", "unknown"),
            newest.get("operation", "an operation"),
            newest.get("name", "something"),
        )
    else:
        what = "seccomp ends it for the system call %s" % newest.get("syscall", "unknown")
    return [
        finding(
            "app.denied",
            "app",
            "fail",
            "The app (%s): %s, last at %s"
            % (newest.get("comm", "its process"), what, times.clock(newest["last"])),
            reason=newest["by"],
            evidence={
                "denials": own[:_SHOWN],
                "count": sum(item["count"] for item in own),
                "last_seen": times.clock(newest["last"]),
            },
            advice="Allow it in the profile (aa-logprof), or in SystemCallFilter= of the unit,"
            " if the app is meant to do so.",
        )
    ]


def _command(unit):
    """Return the name of the unit's program as the kernel has it: its first 15 characters."""
    path = host_unit.program(unit)
    return path.rpartition("/")[2][:15] if path else None


def _tasks(lines, service):
    rejected = {
        name: item
        for name, item in lines.get("tasks", {}).items()
        if service in name.split("/") or name.endswith("/" + service)
    }
    if not rejected:
        return []
    _names, evidence = _last(rejected)
    return [
        finding(
            "app.tasks.refused",
            "app",
            "fail",
            "%s may start no more processes or threads: the kernel refused it, last at %s"
            % (service, evidence["last_seen"]),
            evidence=evidence,
            advice="Raise TasksMax of the unit, or find what starts so many (systemctl status %s)."
            % service,
        )
    ]


def _conntrack(lines):
    if not lines.get("conntrack"):
        return []
    _names, evidence = _last(lines["conntrack"])
    return [
        finding(
            "host.conntrack.dropped",
            "host",
            "fail",
            "The table of tracked connections was full and packets were dropped, last at %s"
            % evidence["last_seen"],
            evidence=evidence,
            advice="Raise net.netfilter.nf_conntrack_max, and find who opens so many connections.",
        )
    ]
