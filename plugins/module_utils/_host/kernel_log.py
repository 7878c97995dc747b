# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel has said of disks, file systems, mounts, limits and denials: counted by kind.

A line is recognised by a text that it must hold, then by one expression without nested repeats on
its beginning. A new kind is an entry of ``KINDS``.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._host.journal import Journal, text_of

#: What is classified of a line: all of these stand at its beginning.
_LONGEST = 1024
_MOST_SUBJECTS = 50
#: All lines of the kernel, and those of its audit where no auditd takes them.
SELECTED = ["_TRANSPORT=kernel", "+", "_TRANSPORT=audit"]

#: (kind, texts of which one is in the line, expression whose first group is what it is about)
KINDS = (
    (
        "device",
        ("I/O error", "medium error", "target error"),
        r"(?:\berror,? (?:on )?dev(?:ice)? |\bdevice )(\w[\w!-]*)",
    ),
    ("device", ("controller is down", "failed command:"), r"\b(nvme\w+|ata[\d.]+):"),
    (
        "filesystem",
        ("EXT4-fs error", "BTRFS error", "BTRFS critical", "BTRFS: error"),
        r"\(device ([\w-]+)",
    ),
    (
        "filesystem",
        ("EXT4-fs (", "XFS ("),
        r"\((\w[\w-]*)\): (?:Remounting filesystem read-only|Corruption|Metadata corruption"
        r"|[Mm]etadata I/O error|[Ll]og I/O [Ee]rror|xfs_do_force_shutdown"
        r"|Filesystem has been shut)",
    ),
    (
        "mount",
        (" not responding",),
        r"\b(?:nfs: server|CIFS: .{0,40}?[Ss]erver) (\S{1,255}) not respond",
    ),
    ("hung", ("blocked for more than",), r"\btask (\S{1,64}):\d+ blocked for"),
    ("conntrack", ("table full, dropping packet",), r"(nf_conntrack|ip_conntrack)"),
    ("tasks", ("fork rejected by pids controller",), r"pids controller in (\S{1,255})"),
    ("syn", ("Possible SYN flooding",), r"Possible SYN flooding on port (\S{1,64})"),
    ("denied", ('apparmor="DENIED"',), r'apparmor="DENIED" (.{1,900})'),
    ("denied", ("type=1326",), r"(type=1326 .{1,900})"),
)
_KINDS = tuple((kind, texts, re.compile(pattern)) for kind, texts, pattern in KINDS)


def read(since, deadline, directory=None):
    """Return what ``add_up`` does of the kernel's lines since a time, and whether all were read.

    Raises:
        JournalUnreadable: there is none, or this user may not read it.
        CommandMissing: there is no journalctl.
    """
    journal = Journal(SELECTED, since, deadline, directory)
    entries = (entry for chunk in journal.chunks() for entry in reversed(chunk))
    return add_up(entries), not journal.truncated


def is_kept(deadline):
    """Return whether the journal has any line of the kernel since the boot: journald may be
    configured not to read them, and a container has none.

    Raises:
        CommandMissing: there is no journalctl.
        DeadlineExceeded: it gave no answer in time.
    """
    argv = ["journalctl", "--dmesg", "--boot", "--lines=1", "--quiet", "--output=cat"]
    return bool(process.run(argv, deadline)[1].strip())


def add_up(entries):
    """Return {kind: {subject: {count, last, line}}} of entries of the journal, the newest first.

    Args:
        entries: dictionaries as ``journalctl --output=json`` writes them.
    """
    found = {}
    for entry in entries:
        message = text_of(entry.get("MESSAGE"))
        classified = classify(message)
        if classified is None:
            continue
        kind, subject = classified
        subjects = found.setdefault(kind, {})
        if subject not in subjects:
            if len(subjects) >= _MOST_SUBJECTS:
                continue
            at = int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6
            subjects[subject] = {"count": 0, "last": at, "line": message[:300]}
        subjects[subject]["count"] += 1
    return found


def classify(message):
    """Return (kind, what it is about) of a line, or None."""
    message = message[:_LONGEST]
    for kind, texts, pattern in _KINDS:
        if any(text in message for text in texts):
            match = pattern.search(message)
            if match:
                return kind, match.group(1).rstrip(",:")
    return None


_AUDIT = re.compile(
    r'\b(operation|profile|name|comm|pid|exe|sig|syscall)=("[^"]{0,255}"|\S{1,255})'
)


def denial(subject):
    """Return {field: value} of a denial; ``by`` is ``apparmor`` or ``seccomp``."""
    fields = {name: value.strip('"') for name, value in _AUDIT.findall(subject)}
    return dict(fields, by="seccomp" if subject.startswith("type=1326") else "apparmor")
