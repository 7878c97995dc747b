# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests a token under a lease, which one host of the fleet has at a time."""

from __future__ import annotations

import random
import time
import uuid

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import TRANSIENT, Failed
from ansible_collections.sergas.ops.plugins.module_utils._zoho.store import StoreFailed

#: Between two checks whether another host has finished; in seconds.
_PAUSE = (0.05, 0.2)


class Busy(OperationError):
    """Another host has the lease until the deadline."""


class Denied(OperationError):
    """Zoho issues no token.

    Attributes:
        failure: the ``Failed``.
        blocked: for how many seconds no host may request one.
    """

    def __init__(self, failure, blocked):
        super().__init__(str(failure))
        self.failure = failure
        self.blocked = blocked


class NotKept(OperationError):
    """A token was issued, and the store failed to keep it."""


def spread():
    """Return a random number of seconds, which spreads the requests of many hosts."""
    return random.uniform(*_PAUSE)  # noqa: S311  no secret


class Refresher:
    """The requests of one run.

    Attributes:
        issued: how many tokens it got.
        warnings: what is wrong with them.
    """

    def __init__(self, client, credentials, params, deadline, hide):
        """Keep the settings.

        Args:
            client: a ``client.Client``.
            credentials: the ``Credentials``, or None where no token is requested.
            params: the options of the module.
            deadline: the ``Deadline`` of the run.
            hide: called with each secret value, as soon as it is known.
        """
        self.issued = 0
        self.warnings = []
        self._owner = uuid.uuid4().hex
        self._client = client
        self._credentials = credentials
        self._params = params
        self._deadline = deadline
        self._hide = hide

    def acquire(self, store):
        """Return the fence of the lease, as soon as no other host has one; raises ``Busy``."""
        while True:
            fence = store.acquire(self._owner)
            if fence:
                return fence
            self._pause()

    def release(self, store):
        """End the lease."""
        try:
            store.release(self._owner)
        except StoreFailed:
            pass  # a lease expires

    def refresh(self, store, is_needed):
        """Take the lease and request a token, unless another host has done so meanwhile.

        Args:
            store: the store of the fleet, or that of this host.
            is_needed: called under the lease; whether a token is still needed.

        Raises:
            Busy: another host has the lease until the deadline.
            Denied: Zoho issues none.
            NotKept: the new one is lost.
        """
        fence = store.acquire(self._owner)
        if not fence:
            self._pause()
            return
        try:
            if is_needed():
                self._request(store, fence)
        finally:
            self.release(store)

    def _pause(self):
        if self._deadline.expired():
            raise Busy("another host has been refreshing for %s s" % self._params["deadline"])
        time.sleep(min(spread(), self._deadline.remaining()))

    def _request(self, store, fence):
        for attempt in (1, 2):
            member = "%s-%d" % (self._owner, attempt)
            outcome, issued = store.reserve(self._owner, member)
            if outcome != "reserved":
                # The next read shows it: the budget is used up, or another host has the lease.
                return
            try:
                grant = self._client.refresh(self._credentials)
            except Failed as failure:
                if attempt == 1 and self._is_worth_another(failure):
                    continue
                limited = failure.error_kind == "throttled"
                blocked = self._params["budget_window"] if limited else 0
                store.remember(self._owner, member, failure.error_kind, str(failure), blocked)
                raise Denied(failure, blocked)
            self._keep(store, fence, member, issued, grant)
            return

    def _is_worth_another(self, failure):
        in_time = self._deadline.remaining() > self._params["timeout"]
        return failure.error_kind in TRANSIENT and in_time

    def _keep(self, store, fence, member, issued, grant):
        self.issued += 1
        self._hide(grant.access_token)
        if grant.seconds < self._params["min_ttl"]:
            self.warnings.append(
                "Zoho's new token lives %d s only, less than min_ttl" % grant.seconds
            )
        try:
            store.keep(self._owner, fence, member, issued, grant)
        except StoreFailed as failure:
            raise NotKept("a token was issued and could not be kept, as %s" % failure)
