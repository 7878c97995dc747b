# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lines of a unit's journal add up to, in bounded memory whatever they say."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import lines as health_lines
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import tracebacks
from ansible_collections.sergas.ops.plugins.module_utils._host import unit
from ansible_collections.sergas.ops.plugins.module_utils._host.journal import text_of

#: kept at most, of each sort; the rarest are dropped first
MOST_GROUPS = 400
MOST_ADDRESSES = 2000
MOST_PATHS = 500
MOST_EVENTS = 1000
#: lines of one process that wait for the older chunk in which their traceback may begin
MOST_HELD = 500
#: shown at most of what is listed
SHOWN = 10
#: a unit that has been up this long, in seconds, has started cleanly even if it does not say so
_SETTLED_SECONDS = 30.0
_STARTING = ("started server process", "started parent process", "waiting for application startup")
_EXITED = r"code=(\w+), status=(\d+)(?:/(\w+))?"
_RESTART = r"restart counter is at (\d+)"
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
_REMOTE = ("remote_ip", "client_ip", "remote_addr", "client", "ip")
#: An IPv6 address may begin with colons, and stand in brackets before a port.
_FROM = (
    r"\b(?:from|client|ip)(?: +| *[:=] *)"
    r"(\[[0-9a-fA-F.:]{2,45}(?:%\w{1,32})?\](?::\d{1,5})?"
    r"|[0-9a-fA-F.:]{2,45}(?:%\w{1,32})?)(?![\w\[])"
)
#: paths where a refusal is a failed login, in a log that does not say so itself
_LOGIN = re.compile(r"login|auth|token|session|signin", re.I)
#: paths where an answer of 2xx is a login
_LOGGED_IN = re.compile(r"/(?:log|sign)[-_]?in/?\Z", re.I)


class Groups:
    """Counts of equal things, with first, last and an example of each; bounded."""

    def __init__(self, most=MOST_GROUPS):
        self._most = most
        self._groups = {}

    def add(self, key, at, invocation, **details):
        """Count one more of key, at a time in seconds since the epoch, in an invocation of the
        unit.
        """
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= self._most:
                self._purge()
            group = self._groups[key] = dict(details, count=0, first=at, last=at, by={})
        group["count"] += 1
        group["first"] = min(group["first"], at)
        group["last"] = max(group["last"], at)
        by = group["by"]
        if invocation in by or len(by) < MOST_EVENTS:
            by[invocation] = by.get(invocation, 0) + 1

    def _purge(self):
        common = sorted(self._groups.items(), key=lambda item: item[1]["count"], reverse=True)
        self._groups = dict(common[: self._most // 2])

    def listed(self, cured=()):
        """Return ([group, ...], dropped): the commonest first, without what cured invocations
        had.
        """
        listed, dropped = [], 0
        for group in self._groups.values():
            group = dict(group)
            gone = sum(
                count for invocation, count in group.pop("by").items() if invocation in cured
            )
            dropped += gone
            group["count"] -= gone
            if group["count"] > 0:
                listed.append(group)
        listed.sort(key=lambda group: (-group["count"], -group["last"]))
        return listed, dropped


class Event:
    """When something happened, how often, and the latest example."""

    def __init__(self):
        self._by = {}

    def add(self, at, sample, invocation=None):
        """Count one more, in an invocation of the unit."""
        known = self._by.get(invocation)
        if known is None:
            if len(self._by) >= MOST_EVENTS:
                return
            known = self._by[invocation] = {"count": 0, "first": at, "last": at, "sample": ""}
        known["count"] += 1
        if at >= known["last"]:
            known["last"], known["sample"] = at, sample[:300]
        known["first"] = min(known["first"], at)

    def plain(self, since=None):
        """Return the event as a dict, or None if it never happened.

        Args:
            since: seconds since the epoch; what ended before then does not count.
        """
        known = [part for part in self._by.values() if since is None or part["last"] >= since]
        if not known:
            return None
        return {
            "count": sum(part["count"] for part in known),
            "first": min(part["first"] for part in known),
            "last": max(part["last"] for part in known),
            "sample": max(known, key=lambda part: part["last"])["sample"],
        }


class Survey:
    """What the lines of a journal add up to, read chunk by chunk from the newest to the oldest."""

    def __init__(self, now, ignored_paths=(), boot=None, monotonic=None, slow_seconds=2.0):
        """Args: now: seconds since the epoch; boot, monotonic: the machine's, to date kernel
        lines.
        """
        self.now = now
        self.boot = boot
        self.monotonic = monotonic
        self.ignored = frozenset(ignored_paths)
        self.slow_seconds = slow_seconds
        self.lines = 0
        self.error_lines = Groups()
        self.exceptions = Groups()
        self.imports = Groups()
        self.database = Groups()
        self.kinds = {}
        self.requests = {"access": 0, "log": 0}
        self.server_errors = {"access": {}, "log": {}}
        self.last_server_error = {"access": None, "log": None}
        self.paths = {}
        self.addresses = {}
        self.logins = {}
        self.unlisted_addresses = 0
        #: {text of a log: address or None}
        self._notations = {}
        self.rate_limits = Event()
        self.circuit_open = Event()
        self.circuit_closed = Event()
        self.zoho_refusals = Event()
        self.address_in_use = Event()
        self.too_many_files = Event()
        self.starts = {}
        self.begun = set()
        self.ready = {}
        self.bound = {}
        self.completes = {}
        self.unit_events = []
        self.killed = []
        self.constraints = {}
        self.limits = []
        self.faults = []
        self.dumps = []
        self.pids = set()
        self.ready_pids = set()
        self.child_deaths = []
        self._routes = {}
        self._open = {}
        self._leading = {}

    # Reading

    def read(self, entries):
        """Take a chunk of entries that runs forward in time and is older than the one before."""
        newer, self._leading = self._leading, {}
        seen = set()
        for entry in entries:
            try:
                at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
            except (KeyError, TypeError, ValueError):
                continue
            message = entry.get("MESSAGE")
            if not isinstance(message, str) or len(message) > 4096 or "\x1b" in message:
                message = text_of(message)
            transport = entry.get("_TRANSPORT")
            pid = entry.get("_PID")
            if transport == "kernel":
                self._kernel(self._kernel_time(at, entry), message)
            elif "COREDUMP_PID" in entry:
                self._coredump(at, entry)
            elif pid == "1" and "MESSAGE_ID" in entry or pid == "1" and "INVOCATION_ID" in entry:
                self._systemd(at, message, entry)
            elif message:
                self._own(at, pid, message, entry, seen)
        self._join(newer, seen)

    @property
    def saw_death(self):
        """Whether a process was ended by a signal: the kernel may tell more of it."""
        return bool(
            self.killed
            or self.child_deaths
            or self.dumps
            or any(
                event["what"] == "oom" or event.get("code") in ("killed", "dumped")
                for event in self.unit_events
            )
        )

    def finish(self):
        """Take what was held back: the oldest chunk has nothing before it."""
        leading, self._leading = self._leading, {}
        self._join(leading, leading)

    def _own(self, at, pid, message, entry, seen):
        invocation = entry.get("_SYSTEMD_INVOCATION_ID")
        urgent = entry.get("PRIORITY") in ("0", "1", "2", "3")
        for line in message.split("\n") if "\n" in message else (message,):
            if pid not in seen:
                held = self._leading.setdefault(pid, [])
                if len(held) < MOST_HELD and not tracebacks.is_outside(line):
                    held.append((at, line, invocation, urgent))
                    continue
                seen.add(pid)
            self._line(at, pid, line, invocation, urgent)

    def _join(self, newer, seen):
        """Go on with the lines that the newer chunk began with, then close what is still open."""
        for pid, lines in newer.items():
            if pid not in seen and len(self._leading) < MOST_EVENTS:
                # This chunk lies within what is held back, or has nothing of this process.
                self._leading[pid] = (self._leading.get(pid, []) + lines)[:MOST_HELD]
                continue
            for at, line, invocation, urgent in lines:
                self._line(at, pid, line, invocation, urgent)
        for at, invocation, reading in list(self._open.values()):
            self._exception(at, invocation, reading)
        self._open.clear()

    def _line(self, at, pid, line, invocation, urgent):
        self.lines += 1
        reading = self._open.get(pid)
        if reading is not None:
            step = reading[2].feed(line)
            if step == "more":
                return
            if step == "end":
                del self._open[pid]
                self._exception(*reading)
        if not line:
            return
        if line[0] == "{":
            entry = health_lines.structured(line)
            if entry is not None:
                self._structured(at, pid, entry, invocation)
                return
        if line.endswith(tracebacks.HEADER):
            reading = tracebacks.Traceback()
            reading.feed(line)
            self._open[pid] = (at, invocation, reading)
            return
        if '" ' in line and " HTTP/" in line:
            request = health_lines.access(line)
            if request is not None:
                address, method, path, status = request
                self._request("access", at, path, status, address, method == "POST")
                return
        if len(self.pids) < 4096 and pid:
            self.pids.add(pid)
        self._text(at, pid, line, invocation, urgent)

    def _text(self, at, pid, line, invocation, urgent):
        low = line.lower()
        known, ambiguous, words = {}, False, low
        if "=" in line and (
            "status_code=" in line
            or "remote_ip=" in line
            or "duration=" in line
            or "level=" in line
        ):
            known, ambiguous, words = health_lines.fields(line)
            words = words.lower()
        level = known.get("level", "").lower()
        if level:
            error = level in health_lines.ERROR_LEVELS
        else:
            error = (
                "error" in low or "critical" in low or "fatal" in low
            ) and health_lines.is_error(line)
        self._judge(at, pid, invocation, words, known, ambiguous, line)
        if error or urgent:
            self._error(at, invocation, words, health_lines.phrase(line), known.get("path"), line)

    def _structured(self, at, pid, entry, invocation):
        event = str(entry.get("event") or entry.get("message") or entry.get("msg") or "")
        error = entry.get("error")
        text = (
            event
            if not error
            else "%s: %s" % (event, error if isinstance(error, str) else repr(error))
        )
        stack = entry.get("exception") or entry.get("exc_info") or entry.get("traceback")
        if isinstance(stack, str):
            reading = tracebacks.parse(stack)
            if reading is not None:
                self._exception(at, invocation, reading)
        low = text.lower()
        self._judge(at, pid, invocation, low, entry, False, text)
        if health_lines.is_structured_error(entry):
            self._error(at, invocation, low, event[:80], entry.get("path"), text)

    def _judge(self, at, pid, invocation, low, known, ambiguous, line):
        """Take from a line what it may tell whatever its level is."""
        status = known.get("status_code") or known.get("status")
        path = known.get("path")
        if status:
            try:
                status = int(status)
            except (TypeError, ValueError):
                status = None
        if status:
            self._request("log", at, path, status, known.get("remote_ip"), False)
        if "duration" in known or "duration_ms" in known:
            self._duration(at, path, known)
        if ("fail" in low or "invalid" in low) and health_lines.is_failed_login(low):
            self._failed_login(at, known, ambiguous, path, line)
        if "limit" in low or "429" in low or "many" in low or "throttled" in low:
            client = next((known[name] for name in _REMOTE if known.get(name)), None)
            if health_lines.is_rate_limit(low, status, client):
                self.rate_limits.add(at, line, invocation)
        if "child process [" in low:
            found = re.search(_CHILD_DIED, low)
            if found and len(self.child_deaths) < 200:
                self.child_deaths.append({"at": at, "pid": found.group(1)})
        if "circuit" in low:
            state = health_lines.circuit(low)
            if state == "open":
                self.circuit_open.add(at, line, invocation)
            elif state == "closed":
                self.circuit_closed.add(at, line, invocation)
        if "invalid_c" in low and "zoho" in low:
            self.zoho_refusals.add(at, line, invocation)
        if "running on http" in low or "listening at" in low:
            self._note(self.bound, at, invocation)
        if "start" in low:
            if "application startup complete" in low:
                self._note(self.ready, at, invocation)
                if len(self.ready_pids) < MOST_EVENTS:
                    self.ready_pids.add(pid)
            elif low.endswith("startup.") or "started " in low:
                if any(needle in low for needle in _STARTING):
                    self._note(self.starts, at, invocation)
                    if len(self.begun) < MOST_EVENTS:
                        self.begun.add(invocation)

    @staticmethod
    def _note(table, at, invocation):
        times = table.get(invocation)
        if times is not None:
            table[invocation] = (min(times[0], at), max(times[1], at))
        elif len(table) < MOST_EVENTS:
            table[invocation] = (at, at)

    def _route(self, path):
        known = self._routes.get(path)
        if known is None:
            known = health_lines.route(path)
            if len(self._routes) < 5000:
                self._routes[path] = known
        return known

    def _request(self, source, at, path, status, address, is_post):
        path = path if isinstance(path, str) else ""
        if path in self.ignored:
            return
        self.requests[source] += 1
        if status >= 500:
            failed, where = self.server_errors[source], self._route(path)
            self.last_server_error[source] = max(at, self.last_server_error[source] or at)
            if where in failed or len(failed) < MOST_PATHS:
                failed[where] = failed.get(where, 0) + 1
        elif status in (401, 403, 404) and address:
            known = self._client(at, address)
            if known is None:
                return
            if path.startswith("/api") and len(known["scanned"]) < 200:
                known["scanned"].add(path[:120])
            if status == 401 and (is_post or source == "log") and _LOGIN.search(path):
                known["refused_" + source] += 1
                self._seen_path(known, path)
        elif 200 <= status < 300 and isinstance(address, str) and _LOGGED_IN.search(path):
            address = self._address(address) or address
            if address in self.logins or len(self.logins) < MOST_ADDRESSES:
                self.logins[address] = max(at, self.logins.get(address, at))

    def _client(self, at, address):
        if not isinstance(address, str):
            return None
        address = self._address(address)
        if address is None:
            return None
        known = self.addresses.get(address)
        if known is None:
            if len(self.addresses) >= MOST_ADDRESSES:
                self._purge_addresses()
            known = self.addresses[address] = {
                "failures": 0,
                "refused_access": 0,
                "refused_log": 0,
                "scanned": set(),
                "paths": {},
                "ambiguous": 0,
                "first": at,
                "last": at,
            }
        known["first"] = min(known["first"], at)
        known["last"] = max(known["last"], at)
        return known

    def _address(self, text):
        """Return the address that a text is one notation of, or None."""
        if text in self._notations:
            return self._notations[text]
        found = health_lines.address(text)
        if len(self._notations) < MOST_ADDRESSES:
            self._notations[text] = found
        return found

    def _purge_addresses(self):
        kept = sorted(
            self.addresses.items(),
            key=lambda item: (
                item[1]["failures"] + item[1]["refused_access"] + len(item[1]["scanned"])
            ),
            reverse=True,
        )[: MOST_ADDRESSES // 2]
        self.unlisted_addresses += len(self.addresses) - len(kept)
        self.addresses = dict(kept)

    @staticmethod
    def _seen_path(known, path):
        if path and (path in known["paths"] or len(known["paths"]) < 20):
            known["paths"][path] = known["paths"].get(path, 0) + 1

    def _failed_login(self, at, known, ambiguous, path, line):
        address = next((known[name] for name in _REMOTE if known.get(name)), None)
        if address is None:
            found = re.findall(_FROM, line)
            address = found[-1] if found else None
        client = self._client(at, address) if address else None
        if client is not None:
            client["failures"] += 1
            client["ambiguous"] += ambiguous
            self._seen_path(client, path if isinstance(path, str) else None)

    def _duration(self, at, path, known):
        if "duration" in known:
            value = health_lines.seconds(known["duration"])
        else:
            value = health_lines.seconds(known["duration_ms"], milliseconds=True)
        if value is None or not isinstance(path, str):
            return
        where = self._route(path)
        entry = self.paths.get(where)
        if entry is None:
            if len(self.paths) >= MOST_PATHS:
                return
            entry = self.paths[where] = [0, 0.0, 0.0, 0, None]
        entry[0] += 1
        entry[1] += value
        entry[2] = max(entry[2], value)
        if value >= self.slow_seconds:
            entry[3] += 1
            entry[4] = max(at, entry[4] or at)

    def _error(self, at, invocation, low, type, path, line):
        named = health_lines.exception_named(line)
        if named and named not in type:
            type = "%s: %s" % (type, named) if type else named
        where = self._route(path) if isinstance(path, str) else None
        kind = self._kind(at, invocation, low, line)
        self.error_lines.add(
            (type, where), at, invocation, type=type, path=where, kind=kind, sample=line[:200]
        )

    def _exception(self, at, invocation, reading):
        if not reading.is_fault:
            return
        line = "%s: %s" % (reading.type, reading.message)
        low = " ".join([line] + reading.causes).lower()
        if reading.type == "KeyError" and reading.message.strip("'\"").isupper():
            low += " environment variable"  # os.environ[...]
        kind = self._kind(at, invocation, low, line)
        self.exceptions.add(
            (reading.type, reading.place, kind),
            at,
            invocation,
            type=reading.type,
            place=reading.place,
            kind=kind,
            message=reading.message[:200],
            called_from=reading.caller,
            raised_from=next((cause for cause in reading.causes if cause != reading.type), None),
        )

    def _kind(self, at, invocation, low, line):
        kind = health_lines.kind(low)
        if kind == "other":
            return kind
        if kind == "database":
            kind = "database." + health_lines.database_kind(low)
            self.database.add(kind, at, invocation, kind=kind[9:], sample=line[:200])
        elif kind == "import":
            module = health_lines.missing_module(line)
            if module:
                self.imports.add(module, at, invocation, module=module, sample=line[:200])
        elif kind == "port":
            self.address_in_use.add(at, line)
        elif kind == "files":
            self.too_many_files.add(at, line)
        known = self.kinds.get(kind)
        self.kinds[kind] = (known[0] + 1, max(known[1], at)) if known else (1, at)
        return kind

    def _systemd(self, at, message, entry):
        invocation = entry.get("INVOCATION_ID")
        event = None
        if "process exited, code=" in message:
            found = re.search(_EXITED, message)
            if found:
                event = {
                    "what": "exit",
                    "code": found.group(1),
                    "status": int(found.group(2)),
                    "name": found.group(3),
                }
        elif "restart counter is at" in message:
            found = re.search(_RESTART, message)
            event = {"what": "restart", "counter": int(found.group(1)) if found else None}
        elif "killed by the OOM killer" in message:
            event = {"what": "oom"}
        elif "repeated too quickly" in message:
            event = {"what": "gave up"}
        elif "Failed with result" in message:
            event = {"what": "failed", "result": message.partition("'")[2].partition("'")[0]}
        elif "Failed at step" in message or "Failed to load environment" in message:
            event = {"what": "not started", "reason": message.partition(": ")[2][:200]}
        elif "timed out" in message:
            event = {"what": "timeout", "reason": message.partition(": ")[2][:120]}
        elif entry.get("MESSAGE_ID") == "39f53479d3a045ac8e11786248231fbf":
            event = {"what": "started"}
            self._note(self.starts, at, invocation)
        elif entry.get("MESSAGE_ID") == "de5b426a63be47a7b6ac3eaac82e2f6f":
            event = {"what": "stopping"}
        if event is not None and len(self.unit_events) < MOST_EVENTS:
            event.update(at=at, invocation=invocation)
            self.unit_events.append(event)

    def _kernel_time(self, at, entry):
        """Return when the kernel wrote a line: journald dates it when it reads it, maybe hours
        later.
        """
        if self.boot is None or self.monotonic is None or entry.get("_BOOT_ID") != self.boot:
            return at
        try:
            since_boot = int(entry["_SOURCE_MONOTONIC_TIMESTAMP"]) / 1e6
        except (KeyError, TypeError, ValueError):
            return at
        return min(at, self.now - (self.monotonic - since_boot))

    def _kernel(self, at, message):
        if "Killed process" in message:
            found = re.search(_KILLED, message)
            if found and len(self.killed) < 200:
                how, pid, name, uid_before, anonymous, shared, uid = found.groups()
                self.killed.append(
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
            if found and len(self.constraints) < 200:
                constraint, group, path, _name, pid = found.groups()
                self.constraints[int(pid)] = {
                    "at": at,
                    "constraint": constraint,
                    "limited": group,
                    "cgroup": path,
                }
        elif "memory: usage" in message:
            found = re.search(_LIMIT, message)
            if found and len(self.limits) < 200:
                self.limits.append((at, int(found.group(2))))
        elif "segfault" in message or "traps:" in message:
            found = re.search(_FAULT, message)
            if found and len(self.faults) < 200:
                name, pid, what = found.groups()
                self.faults.append({"at": at, "process": name, "pid": int(pid), "what": what})

    def _coredump(self, at, entry):
        if len(self.dumps) < 50:
            self.dumps.append(
                {
                    "at": at,
                    "pid": entry.get("COREDUMP_PID"),
                    "signal": entry.get("COREDUMP_SIGNAL_NAME"),
                    "exe": entry.get("COREDUMP_EXE"),
                }
            )

    # The result

    def result(self, properties):
        """Return all of it as plain data; properties: those of the unit, or {}."""
        self.finish()
        self.completes = self._completes()
        clean_start = self._clean_start(properties)
        cured = self._cured(properties, clean_start)
        errors, cured_errors = self.error_lines.listed(cured)
        exceptions, cured_exceptions = self.exceptions.listed(cured)
        source = max(("access", "log"), key=lambda name: self.requests[name])
        failed = sorted(self.server_errors[source].items(), key=lambda item: -item[1])
        return {
            "lines": self.lines,
            "errors": errors,
            "error_count": sum(group["count"] for group in errors),
            "exceptions": exceptions,
            "exception_count": sum(group["count"] for group in exceptions),
            "cured": {"errors": cured_errors, "exceptions": cured_exceptions},
            "kinds": {
                name: {"count": count, "last": last} for name, (count, last) in self.kinds.items()
            },
            "requests": self.requests[source],
            "server_errors": sum(count for _path, count in failed),
            "server_errors_by_path": [
                {"path": path, "count": count} for path, count in failed[:SHOWN]
            ],
            "last_server_error": self.last_server_error[source],
            "slow_paths": self._slow_paths(),
            "addresses": self._clients(),
            "unlisted_addresses": self.unlisted_addresses,
            # A limit that holds is told again; a breaker, and the credentials, begin anew with the
            # app.
            "rate_limits": self.rate_limits.plain(clean_start),
            "circuit_open": self.circuit_open.plain(clean_start),
            "circuit_closed": self.circuit_closed.plain(clean_start),
            "zoho_refusals": self.zoho_refusals.plain(clean_start),
            "imports": [
                group for group in self.imports.listed()[0] if group["last"] > (clean_start or 0)
            ],
            "address_in_use": self.address_in_use.plain(),
            "too_many_files": self.too_many_files.plain(),
            "database": self.database.listed(cured)[0],
            "clean_start": clean_start,
            "start_seconds": self._start_seconds(properties),
            # By its own word: an app that says so will also say when it has started.
            "begun": [name for name in self.begun if name],
            "child_deaths": len(self.child_deaths),
            "completes": {name: times for name, times in self.completes.items() if name},
            "unit_events": sorted(self.unit_events, key=lambda event: event["at"]),
            "kills": self._kills(),
            "faults": self.faults,
            "dumps": self.dumps,
            # A worker that never was ready died of what its traceback says.
            "worker_deaths": [
                death for death in self.child_deaths if death["pid"] in self.ready_pids
            ],
            "pids": sorted(self.pids),
        }

    def _completes(self):
        """Return {invocation: (first, last)} of when the app was ready AND had its port.

        With one worker uvicorn starts the app first and takes the port then, with several the other
        way round: either alone may still fail. Where nothing tells of ports, ready is all there is.
        """
        if not self.bound:
            return self.ready
        return {
            name: (max(first, self.bound[name][0]), max(last, self.bound[name][1]))
            for name, (first, last) in self.ready.items()
            if name in self.bound
        }

    def _clean_start(self, properties):
        """Return when the app last came up for certain, in seconds since the epoch, or None."""
        times = [times[1] for times in self.completes.values()]
        if unit.is_running(properties):
            entered = unit.since(properties, "ActiveEnterTimestamp", self.now, self.monotonic)
            if entered is not None and self.now - entered >= _SETTLED_SECONDS:
                current = properties.get("InvocationID")
                # An app that tells of its start, and has not yet in this invocation, has not
                # started.
                if current not in self.starts or current in self.completes or not self.completes:
                    times.append(entered)
        return max(times) if times else None

    def _cured(self, properties, clean_start):
        """Return the invocations that began in the window, never came up, and are behind a clean
        start.
        """
        if clean_start is None or not self.completes:
            return frozenset()
        current = properties.get("InvocationID")
        return frozenset(
            name
            for name, (started, _last) in self.starts.items()
            if name and name != current and name not in self.completes and started < clean_start
        )

    def _start_seconds(self, properties):
        """Return how long the app's last start took, from its process to its own word, or None."""
        current = properties.get("InvocationID")
        started = unit.since(properties, "ExecMainStartTimestamp", self.now, self.monotonic)
        if current in self.completes and started is not None:
            return round(max(0.0, self.completes[current][0] - started), 3)
        return None

    def _slow_paths(self):
        """Return the paths with slow requests, the one with most of them first."""
        slow = sorted(
            (item for item in self.paths.items() if item[1][3]), key=lambda item: -item[1][3]
        )
        return [
            {
                "path": path,
                "count": count,
                "slow": slow,
                "mean": round(total / count, 3),
                "max": round(most, 3),
                "last": last,
            }
            for path, (count, total, most, slow, last) in slow[:SHOWN]
        ]

    def _clients(self):
        clients = []
        for address, known in self.addresses.items():
            failures = max(known["failures"], known["refused_access"], known["refused_log"])
            paths = sorted(known["paths"], key=lambda path: -known["paths"][path]) or sorted(
                known["scanned"]
            )
            clients.append(
                {
                    "address": address,
                    "failures": failures,
                    "scanned": len(known["scanned"]),
                    "paths": paths[:5],
                    "first": known["first"],
                    "last": known["last"],
                    "ambiguous": known["ambiguous"],
                    "logged_in": self.logins.get(address),
                }
            )
        return sorted(clients, key=lambda item: -(item["failures"] + item["scanned"]))[:100]

    def _kills(self):
        """Return the kernel's kills, each with the memory group and limit that its other lines
        tell.
        """
        kills = []
        for kill in sorted(self.killed, key=lambda kill: kill["at"]):
            kill = dict(kill, constraint=None, limited=None, cgroup=None, limit_kb=None)
            told = self.constraints.get(kill["pid"])
            if told and abs(told["at"] - kill["at"]) < 10:
                kill.update(
                    constraint=told["constraint"], limited=told["limited"], cgroup=told["cgroup"]
                )
            # The kernel tells the limit just before the kill.
            near = [
                (kill["at"] - at, limit) for at, limit in self.limits if 0 <= kill["at"] - at < 5
            ]
            if near and kill["in_group"]:
                kill["limit_kb"] = min(near)[1]
            kills.append(kill)
        return kills
