# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A point in time by which work has to be done, whatever it is waiting for."""

from __future__ import annotations

import time

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable


class DeadlineExceeded(OperationError):
    """The time is up; the message says what was being waited for."""


class Deadline:
    """A number of seconds that starts to run when it is made."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Return the seconds left, never below zero."""
        return max(0.0, self._end - self._clock())

    def expired(self) -> bool:
        """Return whether no time is left."""
        return self.remaining() == 0.0

    def within(self, seconds: float) -> Deadline:
        """Return a deadline in this many seconds, or this one if that comes first."""
        return Deadline(min(seconds, self.remaining()), self._clock)

    def timeout(self, waiting_for: str) -> float:
        """Return the seconds left, for a call that takes a timeout.

        Raises:
            DeadlineExceeded: no time is left to wait for what is named.
        """
        remaining = self.remaining()
        if not remaining:
            raise DeadlineExceeded("no answer in time from %s" % waiting_for)
        return remaining
