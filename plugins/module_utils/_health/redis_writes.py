# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the app can write to a Redis: an attempt that changes nothing, and what the server says.

SETRANGE with an empty value sets nothing, whether there is such a key or not. It is a command that
writes and needs memory all the same, so the server refuses it for what it refuses the app's for.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._net import resp

_KEY = "sergas.ops:diagnosis"
#: The code of an error: why writes are refused.
_CODES = {
    "READONLY": "replica",
    "NOREPLICAS": "replicas",
    "MISCONF": "save",
    "OOM": "memory",
    "CLUSTERDOWN": "cluster",
}
#: The server says what the key holds, or that it is on its way to another node: it takes part.
_ACCEPTED = ("TRYAGAIN", "WRONGTYPE")
_NOT_PERMITTED = "NOPERM"
#: reason: (what is wrong, what to do about it)
WORDS = {
    "replica": (
        "it is a replica",
        "Point .env at the master, or make this one the master (REPLICAOF NO ONE) if it is meant"
        " to be.",
    ),
    "replicas": (
        "it has fewer replicas than min-replicas-to-write",
        "Restore the replicas, or lower min-replicas-to-write.",
    ),
    "save": (
        "it cannot save to its disk",
        "Check the disk of Redis and its log; it accepts writes again after a BGSAVE that"
        " succeeds.",
    ),
    "memory": (
        "its memory is used up, and it may not evict",
        "Raise maxmemory within the host's memory, or set a policy that evicts (allkeys-lru).",
    ),
    "cluster": (
        "its cluster is down",
        "See CLUSTER INFO and CLUSTER NODES: a master of some slots is missing.",
    ),
    "sentinel": (
        "it is a Sentinel, which holds no data",
        "Point .env at the master: SENTINEL GET-MASTER-ADDR-BY-NAME.",
    ),
}


def attempt(client):
    """Return (reason, message): why the server refuses a write, (None, None) where it accepts one,
    or (None, message) where this user may not try it, or the server does not know the command.

    Raises:
        RedisError: the server refuses the user, or any command.
        ConnectionFailed: no answer, or none of Redis.
    """
    try:
        answer = client.call("SETRANGE", _KEY, "0", "")
    except resp.RedisError as error:
        if error.code in _CODES:
            return _CODES[error.code], str(error)
        if error.kind == "cluster" or error.code in _ACCEPTED:
            return None, None
        if error.code == _NOT_PERMITTED or error.kind == "refusal":
            return None, str(error)
        raise
    if not str(answer).isdigit():
        raise resp.ConnectionFailed(
            "protocol", "first_byte", "it answers SETRANGE with %r" % str(answer)[:40]
        )
    return None, None


def may_ping(client):
    """Return whether this user may PING, which libraries and health checks of apps do."""
    try:
        client.call("PING")
    except resp.RedisError as error:
        return error.code != _NOT_PERMITTED
    return True


def by_info(info):
    """Return why a server refuses writes by its own figures, or None where they do not say so."""
    if info.get("redis_mode") == "sentinel":
        return "sentinel"
    if info.get("role") == "slave" and info.get("slave_read_only") != 0:
        return "replica"
    if info.get("min_slaves_good_slaves") == 0 and info.get("role") == "master":
        return "replicas"
    if info.get("aof_last_write_status") == "err":
        return "save"
    used = (info.get("used_memory") or 0) - (info.get("mem_not_counted_for_evict") or 0)
    limit = info.get("maxmemory") or 0
    if limit and used > limit and info.get("maxmemory_policy") == "noeviction":
        return "memory"
    return None
