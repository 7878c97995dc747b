# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients in the app's log: who requests most, fails to log in, scans, or got in after all."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import lines

#: Kept at most; those that did least are dropped first.
MOST_ADDRESSES = 2000
#: Shown of those that request most, and of their paths.
BUSIEST = 10
_MOST_PATHS = 20
REMOTE = ("remote_ip", "client_ip", "remote_addr", "client", "ip")
#: An IPv6 address may begin with colons, and stand in brackets before a port.
_FROM = (
    r"\b(?:from|client|ip)(?: +| *[:=] *)"
    r"(\[[0-9a-fA-F.:]{2,45}(?:%\w{1,32})?\](?::\d{1,5})?"
    r"|[0-9a-fA-F.:]{2,45}(?:%\w{1,32})?)(?![\w\[])"
)
#: Paths where a refusal is a failed login, in a log that does not say so.
_LOGIN = re.compile(r"login|auth|token|session|signin", re.I)
#: Paths where an answer of 2xx is a login.
_LOGGED_IN = re.compile(r"/(?:log|sign)[-_]?in/?\Z", re.I)


class Clients:
    """Refusals, failed logins and logins by address."""

    def __init__(self):
        self._known = {}
        self._logins = {}
        self._dropped = 0
        #: of access lines and of the app's own: {text of a log: [requests, first, last, {path: n}]}
        self._requests = {"access": {}, "log": {}}
        #: {text of a log: address or None}
        self._notations = {}

    def requested(self, source, at, path, text):
        """Count a request of a client, whatever its answer was."""
        if not isinstance(text, str):
            return
        known, text = self._requests[source], text[:64]
        seen = known.get(text)
        if seen is None:
            if len(known) >= MOST_ADDRESSES:
                kept = sorted(known.items(), key=lambda item: -item[1][0])[: MOST_ADDRESSES // 2]
                known = self._requests[source] = dict(kept)
            seen = known[text] = [0, at, at, {}]
        seen[0] += 1
        if at < seen[1]:
            seen[1] = at
        elif at > seen[2]:
            seen[2] = at
        paths = seen[3]
        if path in paths or len(paths) < _MOST_PATHS:
            paths[path] = paths.get(path, 0) + 1

    def refused(self, source, at, path, status, text, is_post):
        """Take an answer of 401, 403 or 404 to a client."""
        known = self._client(at, text)
        if known is None:
            return
        if path.startswith("/api") and len(known["scanned"]) < 200:
            known["scanned"].add(path[:120])
        if status == 401 and (is_post or source == "log") and _LOGIN.search(path):
            known["refused_" + source] += 1
            _seen_path(known, path)

    def answered(self, at, path, text):
        """Take an answer of 2xx to a client: it may be a login."""
        if isinstance(text, str) and _LOGGED_IN.search(path):
            address = self._address(text) or text
            if address in self._logins or len(self._logins) < MOST_ADDRESSES:
                self._logins[address] = max(at, self._logins.get(address, at))

    def failed_login(self, at, known, ambiguous, path, line):
        """Take a line that reports a client that failed to authenticate."""
        text = next((known[name] for name in REMOTE if known.get(name)), None)
        if text is None:
            found = re.findall(_FROM, line)
            text = found[-1] if found else None
        client = self._client(at, text) if text else None
        if client is not None:
            client["failures"] += 1
            client["ambiguous"] += ambiguous
            _seen_path(client, path if isinstance(path, str) else None)

    def _client(self, at, text):
        address = self._address(text) if isinstance(text, str) else None
        if address is None:
            return None
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= MOST_ADDRESSES:
                self._purge()
            known = self._known[address] = {
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
        found = lines.address(text)
        if len(self._notations) < MOST_ADDRESSES:
            self._notations[text] = found
        return found

    def _purge(self):
        kept = sorted(
            self._known.items(),
            key=lambda item: (
                item[1]["failures"] + item[1]["refused_access"] + len(item[1]["scanned"])
            ),
            reverse=True,
        )[: MOST_ADDRESSES // 2]
        self._dropped += len(self._known) - len(kept)
        self._known = dict(kept)

    def result(self):
        """Return the clients that did most first, as plain data."""
        clients = []
        for address, known in self._known.items():
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
                    "logged_in": self._logins.get(address),
                }
            )
        clients.sort(key=lambda item: -(item["failures"] + item["scanned"]))
        return {
            "addresses": clients[:100],
            "unlisted_addresses": self._dropped,
            "busiest": self._busiest(),
        }

    def _busiest(self):
        """Return the clients with most requests, of the source that has more of them."""
        source = max(
            ("access", "log"),
            key=lambda name: sum(seen[0] for seen in self._requests[name].values()),
        )
        merged = {}
        for text, (count, first, last, paths) in self._requests[source].items():
            address = self._address(text)
            if address is None:
                continue
            entry = merged.setdefault(address, [0, first, last, {}])
            entry[:3] = entry[0] + count, min(entry[1], first), max(entry[2], last)
            for path, number in paths.items():
                entry[3][path] = entry[3].get(path, 0) + number
        found = sorted(merged.items(), key=lambda item: -item[1][0])[:BUSIEST]
        return [
            {
                "address": address,
                "requests": count,
                # Of less than a minute, there is no rate of a minute.
                "per_minute": round(count * 60 / max(last - first, 60.0), 1),
                "paths": sorted(paths, key=lambda path: -paths[path])[:5],
                "first": first,
                "last": last,
            }
            for address, (count, first, last, paths) in found
        ]


def _seen_path(known, path):
    if path and (path in known["paths"] or len(known["paths"]) < 20):
        known["paths"][path] = known["paths"].get(path, 0) + 1
