# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of Zoho's token that a fleet shares in Redis: cache, lock, budget, refusals.

Every time is by Redis's own clock, so the clocks of the hosts do not matter. The host that
refreshes holds a lease, a lock that expires. A lease has a number (its fence), higher than that of
every earlier one; a holder that was suspended beyond its lease cannot replace the token of a later
holder, nor spend one of the budget.
"""

from __future__ import annotations

import re
import socket
import time
from typing import Dict, List, NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, redis
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed
from ansible_collections.sergas.ops.plugins.module_utils._net.resp import RedisError
from ansible_collections.sergas.ops.plugins.module_utils._zoho.credentials import (
    digest,
    trusted_api,
)

#: Between two tries of a command that a restart of Redis interrupted; in seconds.
_PAUSE = 0.1
#: For one command and its reply, in seconds.
_TIMEOUT = 5
#: For how long a refusal is kept, for the diagnosis; in milliseconds.
_REMEMBERED = 3600 * 1000
#: A token leaves the cache before it expires, so that no reader takes one that expires on the way:
#: ms, and share.
_MARGIN = 60 * 1000
_MARGIN_SHARE = 0.1

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
#: All of it at one moment; what does not exist is the null reply.
_READ = (
    _NOW
    + """
return {
    string.format('%.0f', now), redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]),
    redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3]),
    redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'), redis.call('GET', KEYS[5])
}
"""
)
#: The number also grows where Redis lost its data, as it is at least the time.
_ACQUIRE = (
    _NOW
    + """
local owner, lease = ARGV[1], ARGV[2]
local holder = redis.call('GET', KEYS[1])
if holder == owner then return tonumber(redis.call('GET', KEYS[2])) end
if holder then return 0 end
local fence = math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0') + 1)
redis.call('SET', KEYS[2], string.format('%.0f', fence))
redis.call('SET', KEYS[1], owner, 'PX', lease)
return fence
"""
)
_RESERVE = (
    _NOW
    + """
local owner, lease, member = ARGV[1], ARGV[2], ARGV[5]
local limit, window = tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('GET', KEYS[1]) ~= owner then return {'lost', 0} end
redis.call('PEXPIRE', KEYS[1], lease)
if redis.call('ZSCORE', KEYS[2], member) then return {'reserved', now} end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - window)
local spent = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
if #spent / 2 >= limit then
    return {'exhausted', spent[2 * (#spent / 2 - limit) + 2] + window - now}
end
redis.call('ZADD', KEYS[2], now, member)
redis.call('PEXPIRE', KEYS[2], window + 60000)
return {'reserved', now}
"""
)
#: A request counts from its end: Zoho may have counted it then.
_KEEP = (
    _NOW
    + """
local owner, fence, member = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local seconds, issued = ARGV[4], tonumber(ARGV[5])
redis.call('ZADD', KEYS[5], 'XX', now, member)
local result = 'newer'
if fence >= tonumber(redis.call('HGET', KEYS[2], 'fence') or '0') then
    result = 'kept'
    local expires = issued + seconds * 1000
    local margin = math.min(tonumber(ARGV[6]), seconds * 1000 * tonumber(ARGV[7]))
    local left = math.floor(expires - now - margin)
    if left > 0 then
        redis.call('SET', KEYS[1], ARGV[8], 'PX', left)
        redis.call('DEL', KEYS[2])
        redis.call('HSET', KEYS[2], 'fence', ARGV[2], 'issued', ARGV[5],
            'expires', string.format('%.0f', expires),
            'digest', ARGV[9], 'credentials', ARGV[10], 'host', ARGV[11], 'api', ARGV[12])
        redis.call('PEXPIRE', KEYS[2], math.floor(expires - now))
    end
    redis.call('DEL', KEYS[3])
end
if redis.call('GET', KEYS[4]) == owner then redis.call('DEL', KEYS[4]) end
return result
"""
)
_REMEMBER = (
    _NOW
    + """
local owner, member, remembered = ARGV[1], ARGV[2], ARGV[3]
redis.call('ZADD', KEYS[2], 'XX', now, member)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'error_kind', ARGV[4], 'message', ARGV[5], 'host', ARGV[6],
    'at', now, 'until', now + ARGV[7])
redis.call('PEXPIRE', KEYS[1], remembered)
return now
"""
)
_CLEAR = (
    _NOW
    + """
local cleared = redis.call('DEL', KEYS[1], KEYS[2])
redis.call('DEL', KEYS[3], KEYS[4])
redis.call('HSET', KEYS[3], 'fence', ARGV[1])
redis.call('PEXPIRE', KEYS[3], 600000)
return cleared
"""
)
_RELEASE = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)
_VERIFIED = (
    _NOW
    + """
if redis.call('HGET', KEYS[1], 'digest') == ARGV[1] then
    redis.call('HSET', KEYS[1], 'verified', now)
end
return now
"""
)


class StoreFailed(OperationError):
    """Redis cannot be used.

    Attributes:
        error_kind: ``unreachable``, ``loading``, ``auth``, ``readonly``, ``tls``, ``driver`` (this
            host has no driver for it) or ``refusal``.
    """

    def __init__(self, error_kind, message):
        super().__init__(message)
        self.error_kind = error_kind


class Shared(NamedTuple):
    """The state at one moment. Times are milliseconds of the store's clock."""

    now: int
    #: the cached token, which may be the app's
    token: Optional[str]
    #: until when the cache keeps it; None for ever
    cached_until: Optional[int]
    #: of the last token of this collection: digest, issued, expires, credentials, host,
    #: api, verified, fence
    record: Dict[str, str]
    #: the last refusal for these credentials: error_kind, message, host, at, until
    failure: Dict[str, str]
    #: when tokens were requested
    spent: List[int]
    #: the digest of the refresh token in the cache, or None
    refresh_token: Optional[str]

    def __repr__(self):
        return "Shared(now=%d)" % self.now

    def own_record(self):
        """Return the record, if it is about the token that is cached; else {}."""
        return self.record if self.token and self.record.get("digest") == digest(self.token) else {}


class RedisStore:
    """The store of a fleet."""

    #: whether other hosts see it
    shared = True

    def __init__(
        self, target, credentials, refresh_token, budget, window, lease, prefix="zoho:", timeout=0.0
    ):
        """Keep the settings; nothing is connected yet.

        Args:
            target: a ``redis.Target``.
            credentials: the fingerprint of the credentials.
            refresh_token: the digest of the refresh token, which the budget belongs to.
            budget: how many tokens may be requested within the window.
            window: in seconds.
            lease: how long a lock is held at most, in seconds: longer than a request may take.
            prefix: of the names of the keys.
            timeout: for how many seconds the store waits for a Redis that restarts.
        """
        self._target = target
        self._client = None
        self._credentials = credentials
        self._budget, self._window, self._lease = budget, int(window * 1000), int(lease * 1000)
        self.timeout = timeout
        self.address = target.address
        self.driver = redis.driver()
        self._token = prefix + "access_token"
        self._refresh = prefix + "refresh_token"
        self._record = prefix + "access_token:record"
        self._failure = "%stoken:failure:%s" % (prefix, credentials)
        self._spent = "%stoken:budget:%s" % (prefix, refresh_token)
        self._lock = prefix + "token:lock"
        self._fence = prefix + "token:fence"

    def read(self):
        """Return the current state, a ``Shared``; raises ``StoreFailed``."""
        keys = [self._token, self._record, self._failure, self._spent, self._refresh]
        now, token, left, record, failure, spent, refresh_token = self._run(_READ, keys, [])
        now, left = int(now), int(left)
        times = [int(float(score)) for score in spent[1::2]]
        return Shared(
            now,
            token or None,
            now + left if left >= 0 else None,
            _as_dict(record),
            _as_dict(failure),
            [time for time in times if time > now - self._window],
            digest(refresh_token) if refresh_token else None,
        )

    def acquire(self, owner):
        """Return the fence of a new lease, or None while another owner holds one."""
        keys = [self._lock, self._fence]
        return int(self._run(_ACQUIRE, keys, [owner, self._lease]) or 0) or None

    def reserve(self, owner, member):
        """Take one of the budget, and extend the lease.

        Returns:
            (outcome, ms): ``reserved`` and the time; ``exhausted`` and how long until there is one
            again; ``lost`` where the lease is another owner's by now.
        """
        arguments = [owner, self._lease, self._budget, self._window, member]
        outcome, number = self._run(_RESERVE, [self._lock, self._spent], arguments)
        return outcome, int(number)

    def keep(self, owner, fence, member, issued, grant):
        """Put a new token into the cache and end the lease.

        Args:
            owner, fence: of the lease under which it was requested.
            member: of the reservation.
            issued: when it was requested, in milliseconds of the store's clock.
            grant: a ``replies.Grant``.

        Returns:
            ``kept``, or ``newer`` where the cache has a later holder's token, which stays.
        """
        return self._run(
            _KEEP,
            [self._token, self._record, self._failure, self._lock, self._spent],
            [owner, fence, member, grant.seconds, issued, _MARGIN, _MARGIN_SHARE]
            + [
                grant.access_token,
                digest(grant.access_token),
                self._credentials,
                socket.gethostname(),
            ]
            + [trusted_api(grant.api_domain) or ""],
        )

    def remember(self, owner, member, error_kind, message, blocked=0):
        """Keep a refusal, so that the other hosts get it without a request.

        Args:
            blocked: for how many seconds no host may request a token.
        """
        arguments = [
            owner,
            member,
            _REMEMBERED,
            error_kind,
            message,
            socket.gethostname(),
            int(blocked * 1000),
        ]
        self._run(_REMEMBER, [self._failure, self._spent], arguments)

    def release(self, owner):
        """End the lease, if it is still the owner's."""
        self._run(_RELEASE, [self._lock], [owner])

    def clear(self, fence):
        """Discard the cached tokens, and return how many there were; a refresh that began before
        cannot restore them.
        """
        keys = [self._token, self._refresh, self._record, self._failure]
        return int(self._run(_CLEAR, keys, [fence]))

    def verified(self, token):
        """Keep that the API has just accepted a token."""
        self._run(_VERIFIED, [self._record], [digest(token)])

    def _run(self, script, keys, arguments):
        # Each script may run twice with the same result: a lost reply is no reason to give up.
        words = ["EVAL", script, str(len(keys)), *keys, *map(str, arguments)]
        end = time.monotonic() + self.timeout
        while True:
            try:
                return self._connected().call(*words)
            except RedisError as error:
                failure = explain(error, self.address)
                # After a failover, the Sentinels name another master.
                again = failure.error_kind == "loading" or (
                    error.code == "READONLY" and self._target.sentinels
                )
            except ConnectionFailed as error:
                failure = _unreachable(error, self.address)
                again = failure.error_kind == "unreachable"
            except redis.DriverMissing as error:
                raise StoreFailed("driver", "Redis at %s: %s" % (self.address, error))
            self.close()
            if not again or time.monotonic() + _PAUSE >= end:
                raise failure
            time.sleep(_PAUSE)

    def _connected(self):
        """Return the client, logged in, with the time of one command before it."""
        if self._client is None:
            self._client = redis.connect(self._target, Deadline(_TIMEOUT))
        self._client.within(Deadline(_TIMEOUT))
        return self._client

    def close(self):
        """End the connection, if there is one; the next command makes another."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _as_dict(flat):
    return dict(zip(flat[::2], flat[1::2]))


#: Kinds of a RedisError: what to say of it; the rest are refusals.
_KINDS = {
    "password": "auth",
    "password_unused": "auth",
    "loading": "loading",
    "busy": "loading",
    "writes": "readonly",
    "memory": "readonly",
    "replica": "readonly",
}


def explain(error, address):
    """Return the ``StoreFailed`` for a ``RedisError``, without its text, which may quote a command
    with a secret (pure).
    """
    target, kind = "Redis at %s" % address, _KINDS.get(error.kind, "refusal")
    code = " (%s)" % error.code if re.match(r"[A-Z]+\Z", error.code) else ""
    return StoreFailed(
        kind,
        {
            "auth": "%s does not accept the user and the password, or not for this" % target,
            "loading": "%s is busy, or still loading its data" % target,
            "readonly": "%s takes no writes%s" % (target, code),
            "refusal": "%s refuses a command%s" % (target, code),
        }[kind],
    )


def _unreachable(error, address):
    """Return the ``StoreFailed`` for a connection that could not be made, or did not last."""
    if error.kind in failures.ENCRYPTION:
        return StoreFailed("tls", "TLS with Redis at %s fails: %s" % (address, error.detail))
    if error.kind == "protocol":
        return StoreFailed("refusal", "the server at %s is no Redis" % address)
    return StoreFailed("unreachable", "Redis at %s cannot be reached" % address)
