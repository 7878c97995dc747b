# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger of a host: what remedies did there, one entry a line, and who may act next.

Nothing here touches the host. Times are texts in UTC (``2026-03-01T09:30:00Z``); ``now`` and the
end of a lease are seconds, the former since the epoch, the latter since the boot.
"""

from __future__ import annotations

import json

from ansible_collections.sergas.ops.plugins.module_utils._core import times

PATH = "/var/lib/sergas/ledger.jsonl"
RUNTIME = "/run/sergas"
#: What only traffic will show has been done: a later run decides, see ``awaiting``.
UNVERIFIED = "unverified"
#: that end an entry
ENDED = ("kept", "undone", "failed", UNVERIFIED)
KEYS = (
    "time",
    "ended",
    "run",
    "remedy",
    "findings",
    "by",
    "host",
    "outcome",
    "before",
    "after",
    "reason",
    "known",
    "awaiting",
)


def parse(data):
    """Return ([entry, ...], skipped): the entries of a ledger in their order.

    Args:
        data: the bytes of the file, or of its tail from the beginning of a line.

    Returns:
        tuple: the entries, each with all of ``KEYS``, and how many lines were no entry.
    """
    entries, skipped = [], 0
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        entry = entry_of(line)
        if entry is None:
            skipped += 1
        else:
            entries.append(entry)
    return entries, skipped


def entry_of(line):
    """Return the entry that a line (bytes) holds, or None."""
    try:
        given = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict) or times.seconds(given.get("time")) is None:
        return None
    if not all(isinstance(given.get(key), str) for key in ("run", "remedy", "outcome")):
        return None
    entry = {key: given.get(key) for key in KEYS}
    for key in ("findings", "before", "after", "known", "awaiting"):
        if not isinstance(entry[key], list):
            entry[key] = []
    return entry


def identity(entry):
    """Return what two lines of the same entry have in common."""
    return entry["run"], entry["remedy"], entry["time"]


def merge(*ledgers):
    """Return the entries of several ledgers as one, oldest first; of an entry, the ended one."""
    merged = {}
    for entry in [entry for entries in ledgers for entry in entries]:
        known = merged.get(identity(entry))
        if known is None or known["ended"] is None:
            merged[identity(entry)] = entry
    return sorted(merged.values(), key=lambda entry: times.seconds(entry["time"]))


def with_interruptions(entries, lease_run):
    """Return the entries with what became of those that were begun and not ended.

    Args:
        entries: oldest first.
        lease_run: the run that holds the host's lock, or None.

    Returns:
        list: copies, whose outcome is ``begun`` only while the lock of their run is held; it is
        ``interrupted`` else.
    """
    result = []
    for entry in entries:
        if entry["outcome"] == "begun" and entry["run"] != lease_run:
            entry = dict(entry, outcome="interrupted")
        result.append(entry)
    return result


def holder(lease, boot_id, uptime, dead_runs=()):
    """Return the lease if a run holds it, or None.

    Args:
        lease: {run, boot_id, ends, ...}, or None.
        boot_id: of this boot of the host; a lease of another one is void.
        uptime: seconds since the boot, suspended ones among them.
        dead_runs: runs that are known to be gone.
    """
    if not lease or lease["boot_id"] != boot_id or uptime >= lease["ends"]:
        return None
    return None if lease["run"] in dead_runs else lease


def refusal(entries, remedy, now, cooldown, repeat_times, repeat_hours):
    """Return why a remedy must not act again by what it did before, or None.

    Args:
        entries: what ``with_interruptions`` returned.
        remedy: its name.
        now: seconds since the epoch.
        cooldown: seconds it has to wait after it last ended.
        repeat_times: how often it may have begun within ``repeat_hours``; 0 for no limit.
        repeat_hours: hours that count.
    """
    own = [entry for entry in entries if entry["remedy"] == remedy]
    # What waits for traffic has not failed yet.
    recent = [
        entry
        for entry in own
        if entry["outcome"] != UNVERIFIED
        and 0 <= now - times.seconds(entry["time"]) < repeat_hours * 3600
    ]
    if repeat_times and len(recent) >= repeat_times:
        return "%s was begun %d times in the last %d hours (%s): someone has to investigate" % (
            remedy,
            len(recent),
            repeat_hours,
            ", ".join("%s %s" % (entry["time"], entry["outcome"]) for entry in recent[-3:]),
        )
    ends = [
        (times.seconds(entry["ended"]), entry["outcome"])
        for entry in own
        if entry["outcome"] in ENDED and entry["ended"]
    ]
    # An end in the future is of a clock that has been set back since, and says nothing.
    passed = [(now - ended, outcome) for ended, outcome in ends if ended <= now]
    if passed and min(passed)[0] < cooldown:
        return "%s ended %d s ago (%s), and may act again after %d s" % (
            remedy,
            min(passed)[0],
            min(passed)[1],
            cooldown,
        )
    return None


def waiting(entries):
    """Return {id of a finding: the entry of the remedy that waits for traffic to show it}.

    Args:
        entries: newest first. What a later remedy has ended for the same finding waits no more.
    """
    found, ended_since = {}, set()
    for entry in entries:
        if entry["outcome"] not in ENDED:
            continue
        for id in entry["awaiting"] if entry["outcome"] == UNVERIFIED else ():
            if id not in ended_since and entry["ended"]:
                found.setdefault(id, entry)
        ended_since.update(entry["findings"])
    return found


def lock_refusal(lease, uptime):
    """Return in words who holds the lock of the host."""
    return "run %s%s is at work on this host with %s, its lock ends in %d s" % (
        lease["run"],
        " of %s" % lease["by"] if lease.get("by") else "",
        lease["remedy"],
        max(1, lease["ends"] - uptime),
    )


def point_refusal(name, point):
    """Return in words which restore point keeps another run from acting on the host.

    Args:
        name: of the restore point.
        point: what it holds.
    """
    return (
        "the restore point %s%s is armed since %s, and the host restores %d files at %s: resolve it"
        " first (remedy resolve_restore_points)"
        % (
            name,
            " of run %s" % point["run"] if point.get("run") else "",
            point.get("armed_at"),
            len(point.get("files") or ()),
            point.get("due"),
        )
    )


def line_of(entry):
    """Return an entry as a line of the ledger, in bytes."""
    return json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def rewritten(data, entries, max_bytes):
    """Return a ledger's bytes with entries in it, each once, and the oldest lines gone if it were
    too long.

    What is there and no entry stays as it is, until it is the oldest.

    Args:
        data: of the file as it is.
        entries: to replace or to add, the oldest first.
        max_bytes: what the file may have; the last entry stays in any case.
    """
    new = {identity(entry): entry for entry in entries}
    lines = []
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        entry = entry_of(line)
        changed = new.pop(identity(entry), None) if entry else None
        lines.append(line_of(changed) if changed else line + b"\n")
    lines += [line_of(entry) for entry in new.values()]
    size = sum(len(line) for line in lines)
    first = 0
    while size > max_bytes and first < len(lines) - 1:
        size -= len(lines[first])
        first += 1
    return b"".join(lines[first:])
