# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests in the app's log: how many, which fail, which are slow."""

from __future__ import annotations

import math

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import lines

_MOST_PATHS = 500
#: Durations are counted in steps of this factor: a percentile is at most so much too high.
_STEP = 1.1
_LOG_STEP = math.log(_STEP)
_SHORTEST = 0.001
#: Shown at most of what is listed.
SHOWN = 10


class Requests:
    """Counts of requests; uvicorn's access lines and the app's own count apart."""

    def __init__(self, clients, ignored_paths, slow_seconds):
        """Args: clients: they get the answers to them; slow_seconds: from when on one is slow."""
        self._clients = clients
        self._ignored = frozenset(ignored_paths)
        self._slow_seconds = slow_seconds
        self._counts = {"access": 0, "log": 0}
        self._failed = {"access": {}, "log": {}}
        self._last_failed = {"access": None, "log": None}
        #: {route: [requests, seconds, longest, slow ones, last slow one, {step: requests}]}
        self._paths = {}
        self._timed = 0
        self._anonymous = 0
        self._routes = {}

    def add(self, source, at, path, status, address, is_post):
        """Count a request and what was answered."""
        path = path if isinstance(path, str) else ""
        if path in self._ignored:
            return
        self._counts[source] += 1
        if address:
            self._clients.requested(source, at, self.route(path)[:120], address)
        if status >= 500:
            failed, where = self._failed[source], self.route(path)
            self._last_failed[source] = max(at, self._last_failed[source] or at)
            if where in failed or len(failed) < _MOST_PATHS:
                failed[where] = failed.get(where, 0) + 1
        elif status in (401, 403, 404):
            if not address:
                self._anonymous += 1
                return
            self._clients.refused(source, at, path, status, address, is_post)
        elif 200 <= status < 300:
            self._clients.answered(at, path, address)

    def took(self, at, path, value):
        """Take how many seconds the answer to a request took."""
        if not isinstance(path, str) or path in self._ignored:
            return
        self._timed += 1
        where = self.route(path)
        entry = self._paths.get(where)
        if entry is None:
            if len(self._paths) >= _MOST_PATHS:
                return
            entry = self._paths[where] = [0, 0.0, 0.0, 0, None, {}]
        entry[0] += 1
        entry[1] += value
        entry[2] = max(entry[2], value)
        step = _step(value)
        entry[5][step] = entry[5].get(step, 0) + 1
        if value >= self._slow_seconds:
            entry[3] += 1
            entry[4] = max(at, entry[4] or at)

    def route(self, path):
        """Return a path with identifiers as ``{id}``."""
        known = self._routes.get(path)
        if known is None:
            known = lines.route(path)
            if len(self._routes) < 5000:
                self._routes[path] = known
        return known

    def result(self):
        """Return the counts of the source that has more of them, as plain data."""
        source = max(("access", "log"), key=lambda name: self._counts[name])
        failed = sorted(self._failed[source].items(), key=lambda item: -item[1])
        return {
            "requests": self._counts[source],
            "server_errors": sum(count for _path, count in failed),
            "server_errors_by_path": [
                {"path": path, "count": count} for path, count in failed[:SHOWN]
            ],
            "last_server_error": self._last_failed[source],
            "timed": self._timed,
            "refused_without_address": self._anonymous,
            "slow_paths": self._slow_paths(),
        }

    def _slow_paths(self):
        """Return the paths with slow requests, the one with most of them first."""
        slow = sorted(
            (item for item in self._paths.items() if item[1][3]), key=lambda item: -item[1][3]
        )
        return [
            {
                "path": path,
                "count": count,
                "slow": slow,
                "mean": round(total / count, 3),
                "max": round(most, 3),
                "p95": round(min(most, _percentile(steps, count, 0.95)), 3),
                "last": last,
            }
            for path, (count, total, most, slow, last, steps) in slow[:SHOWN]
        ]


def _step(seconds):
    return max(0, int(math.log(max(seconds, _SHORTEST) / _SHORTEST) / _LOG_STEP) + 1)


def _percentile(steps, count, share):
    """Return the seconds that this share of the requests took at most: the end of a step."""
    seen = 0
    for step in sorted(steps):
        seen += steps[step]
        if seen >= share * count:
            break
    return _SHORTEST * _STEP**step
