# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deaths of processes: what the kernel, systemd-coredump and a parent process say of them."""

from __future__ import annotations

import re

_KILLED = (
    r"(Memory cgroup out of memory|Out of memory[^:]*): Killed process (\d+) \((.{1,60}?)\),? "
    r"(?:UID:(\d+) )?.*?anon-rss:(\d+)kB(?:.*?shmem-rss:(\d+)kB)?(?:.*?UID:(\d+))?"
)
_CONSTRAINT = (
    r"oom-kill:constraint=(\w+).*?(?:oom_memcg=([^,]*),)?task_memcg=([^,]*),task=(.*?),pid=(\d+)"
)
_LIMIT = r"memory: usage (\d+)kB, limit (\d+)kB"
_FAULT = r"(?:traps: )?([^\s\[]{1,40})\[(\d+)\]:? (segfault|general protection fault|trap [\w ]+)"
_CHILD_DIED = r"child process \[(\d+)\] died"


class Deaths:
    """Processes that did not end themselves."""

    def __init__(self, now, boot, monotonic):
        """Args: now: seconds since the epoch; boot, monotonic: the host's, to date kernel lines."""
        self._now = now
        self._boot = boot
        self._monotonic = monotonic
        self._killed = []
        self._constraints = {}
        self._limits = []
        self._faults = []
        self._dumps = []
        self._children = []
        self._kernel_errors = 0

    @property
    def seen(self):
        """Whether there was one."""
        return bool(self._killed or self._children or self._dumps)

    def child(self, at, low):
        """Take a line of a parent process about one of its children."""
        found = re.search(_CHILD_DIED, low)
        if found and len(self._children) < 200:
            self._children.append({"at": at, "pid": found.group(1)})

    def _kernel_time(self, at, entry):
        """Return when the kernel wrote a line: journald dates it when it reads it, maybe hours
        later.
        """
        if self._boot is None or self._monotonic is None or entry.get("_BOOT_ID") != self._boot:
            return at
        try:
            since_boot = int(entry["_SOURCE_MONOTONIC_TIMESTAMP"]) / 1e6
        except (KeyError, TypeError, ValueError):
            return at
        return min(at, self._now - (self._monotonic - since_boot))

    def kernel(self, at, message, entry):
        """Take a line of the kernel."""
        at = self._kernel_time(at, entry)
        if "Killed process" in message:
            found = re.search(_KILLED, message)
            if found and len(self._killed) < 200:
                how, pid, name, uid_before, anonymous, shared, uid = found.groups()
                self._killed.append(
                    {
                        "at": at,
                        "pid": int(pid),
                        "process": name,
                        "uid": uid or uid_before,
                        "rss_kb": int(anonymous) + int(shared or 0),
                        "in_group": how.startswith("Memory cgroup"),
                    }
                )
        elif "oom-kill:" in message:
            found = re.search(_CONSTRAINT, message)
            if found and len(self._constraints) < 200:
                constraint, group, path, _name, pid = found.groups()
                self._constraints[int(pid)] = {
                    "at": at,
                    "constraint": constraint,
                    "limited": group,
                    "cgroup": path,
                }
        elif "memory: usage" in message:
            found = re.search(_LIMIT, message)
            if found and len(self._limits) < 200:
                self._limits.append((at, int(found.group(2))))
        elif "segfault" in message or "traps:" in message:
            found = re.search(_FAULT, message)
            if found and len(self._faults) < 200:
                name, pid, what = found.groups()
                self._faults.append({"at": at, "process": name, "pid": int(pid), "what": what})
        elif entry.get("PRIORITY") in ("0", "1", "2", "3"):
            # Only here: most hosts' kernels report no error.
            from ansible_collections.sergas.ops.plugins.module_utils._host import kernel_log

            # Each start of Docker makes one that means nothing, say.
            self._kernel_errors += bool(kernel_log.classify(message))

    def coredump(self, at, entry):
        """Take what systemd-coredump says of a process."""
        if len(self._dumps) < 50:
            self._dumps.append(
                {
                    "at": at,
                    "pid": entry.get("COREDUMP_PID"),
                    "signal": entry.get("COREDUMP_SIGNAL_NAME"),
                    "exe": entry.get("COREDUMP_EXE"),
                }
            )

    def result(self, ready_pids):
        """Return all of it as plain data; ready_pids: of processes that were ready once."""
        return {
            "child_deaths": len(self._children),
            # Errors that no process died of, of the kinds that ``kernel_log`` knows: what they are
            # about is read where there are any.
            "kernel_errors": self._kernel_errors,
            "kills": self._kills(),
            "faults": self._faults,
            "dumps": self._dumps,
            # A worker that never was ready died of what its traceback says.
            "worker_deaths": [death for death in self._children if death["pid"] in ready_pids],
        }

    def _kills(self):
        """Return the kernel's kills, each with the memory group and limit of its other lines."""
        kills = []
        for kill in sorted(self._killed, key=lambda kill: kill["at"]):
            kill = dict(kill, constraint=None, limited=None, cgroup=None, limit_kb=None)
            constraint = self._constraints.get(kill["pid"])
            if constraint and abs(constraint["at"] - kill["at"]) < 10:
                kill.update(
                    constraint=constraint["constraint"],
                    limited=constraint["limited"],
                    cgroup=constraint["cgroup"],
                )
            # The kernel logs the limit just before the kill.
            near = [
                (kill["at"] - at, limit) for at, limit in self._limits if 0 <= kill["at"] - at < 5
            ]
            if near and kill["in_group"]:
                kill["limit_kb"] = min(near)[1]
            kills.append(kill)
        return kills
