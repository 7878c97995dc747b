# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases that have a fresh host each and share what is run on all of these."""

from __future__ import annotations

import concurrent.futures


class Waves:
    """Runs cases in waves: as many at a time as there are hosts for.

    Args:
        fleet: the Fleet.
        cases: all that may share a wave, each once.
        prepare: is called with a case and its fresh host, for several cases side by side.
        run: is called with {case: what ``prepare`` returned} of the cases that are ready, and
            returns {case: what came of it}.
        hosts: gives the names of the hosts that a case may have; if not given, those of the release
            that it begins with.
        kind: gives what the cases of one wave have in common.
        at_once: how many are prepared side by side.
    """

    def __init__(self, fleet, cases, prepare, run, hosts=None, kind=None, at_once=6):
        self._fleet = fleet
        self._cases = cases
        self._prepare = prepare
        self._run = run
        self._hosts = hosts or (lambda case: fleet.of(case[0]))
        self._kind = kind or (lambda case: None)
        self._at_once = at_once
        self._known = {}

    def of(self, case):
        """Return what came of a case, after running the wave that it is in; raises what kept it
        from that.
        """
        if case not in self._known:
            self._run_wave(self._next_wave(case))
        if isinstance(self._known[case], Exception):
            raise self._known[case]
        return self._known[case]

    def _next_wave(self, wanted):
        """Return {case: host} of this case and of as many more as there are hosts for."""
        wave = {}
        for case in dict.fromkeys([wanted, *self._cases]):
            free = [host for host in self._hosts(case) if host not in wave.values()]
            if free and case not in self._known and self._kind(case) == self._kind(wanted):
                wave[case] = free[0]
        assert wanted in wave, "the fleet has no host for %s" % (wanted,)
        return wave

    def _run_wave(self, wave):
        def prepare(case):
            return self._prepare(case, self._fleet.fresh(wave[case]))

        try:
            with concurrent.futures.ThreadPoolExecutor(self._at_once) as pool:
                futures = {case: pool.submit(prepare, case) for case in wave}
            broken = {
                case: future.exception() for case, future in futures.items() if future.exception()
            }
            self._known.update(broken)
            ready = {case: futures[case].result() for case in wave if case not in broken}
            if ready:
                self._known.update(self._run_ready(ready))
        finally:
            self._fleet.stop(wave.values())

    def _run_ready(self, ready):
        try:
            return self._run(ready)
        except Exception as error:  # it is every case's failure, and each says so
            return dict.fromkeys(ready, error)
