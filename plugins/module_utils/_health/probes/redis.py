# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis as the app reaches it: does it answer, how full is it, does it throw keys away."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observed
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    NotHere,
    finding,
    grade,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.sizes import size
from ansible_collections.sergas.ops.plugins.module_utils._health import reach, redis_writes
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config, local_servers
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, resp, url

_MARGIN = 0.3
#: what INFO says that a finding shows
_FIGURES = (
    "redis_version",
    "role",
    "uptime_in_seconds",
    "used_memory",
    "maxmemory",
    "maxmemory_policy",
    "total_system_memory",
    "evicted_keys",
    "connected_clients",
    "maxclients",
    "rejected_connections",
    "redis_mode",
    "master_host",
    "master_port",
    "master_link_status",
    "slave_read_only",
    "min_slaves_good_slaves",
    "rdb_last_bgsave_status",
    "aof_last_write_status",
    "keyspace_hits",
    "keyspace_misses",
)


def observe(ctx):
    """Reach Redis with the app's settings; without an app, the server of this host.

    Returns:
        list of dicts: ``unset``, or address, local and either failure or info.
    """
    results = []
    # A little less than there is, so that a server that hangs is reported as such and not as a late
    # probe.
    deadline = ctx.deadline.within(ctx.deadline.remaining() - _MARGIN)
    if ctx.has("app"):
        target = app_config.redis_target(ctx.settings)
        why = ctx.environment_error or "REDIS_HOST is not set in %s" % ctx.env_file
        if ctx.settings.get("REDIS_URL", "").startswith(resp.SENTINEL_SCHEMES):
            if not ctx.params["redis_host"]:
                target, why = None, "REDIS_URL names Sentinels, which this check does not query"
        results.append(reach.redis(target, deadline, False) if target else {"unset": why})
    if not results or "redis" in (ctx.components or ()):
        target = local_servers.redis()
        known = {item.get("address") for item in results}
        if target and reach.address(target) not in known:
            result = reach.redis(target, deadline, True)
            if (
                "failure" in result
                and ctx.components is None
                and not local_servers.is_redis_enabled()
            ):
                raise NotHere(
                    "Redis is installed on this host, but not meant to run: its unit is not enabled"
                )
            results.append(result)
    if not results:
        raise NotHere("Redis is not on this host")
    gaps = {}
    for result in results:
        gaps.update(result.pop("gaps", {}))
        if "failure" in result:
            result["unit"] = local_servers.redis_unit()
    return Observed(results, gaps)


#: The reasons that are not in the calls: error kinds.
REASONS = {
    "redis.unreachable": (
        *failures.WORDS,
        "loading",
        "busy",
        "replica",
        "clients",
        "refusal",
    ),
    "redis.auth.failed": ("protected", "password_unused", "password"),
    "redis.writes.refused": ("replica", "replicas", "save", "memory", "cluster", "sentinel"),
}
#: What the observation may miss of a server that answers.
ASPECTS = ("writes",)
#: What to do about a failed connection to this service.
_ADVICE = {
    **failures.ADVICE,
    failures.REFUSED: "Start Redis, or correct the host and the port in .env.",
    failures.MISSING: "Start Redis.",
    failures.PERMISSION: "Check the mode (unixsocketperm) and the group of the socket.",
    failures.HUNG: "Check whether the process is stopped or busy with a slow command.",
    failures.CLOSED: "Check the server's log, and whether it wants TLS (REDIS_SSL).",
    failures.PROTOCOL: "Correct the host, the port and REDIS_SSL in .env.",
    failures.TLS: "Compare REDIS_SSL with what the server offers.",
}
#: error kind: (id, sentence, remedy, advice)
_ERROR_KINDS = {
    **{
        reason: (
            "redis.unreachable",
            failures.WORDS[reason],
            "start_redis" if reason in (failures.REFUSED, failures.MISSING) else None,
            advice,
        )
        for reason, advice in _ADVICE.items()
    },
    "loading": (
        "redis.unreachable",
        "it is still loading its data",
        None,
        "Wait for it, and see why it was restarted.",
    ),
    "busy": (
        "redis.unreachable",
        "a script blocks it",
        None,
        "SCRIPT KILL, once it is clear what runs.",
    ),
    "replica": (
        "redis.unreachable",
        "it is a replica that has lost its master",
        None,
        "Restore the replication, or point .env at the master.",
    ),
    "clients": (
        "redis.unreachable",
        "the limit of its clients is reached",
        None,
        "Find the client that leaks connections, or raise maxclients.",
    ),
    "refusal": ("redis.unreachable", "it refuses the command", None, "Read the server's log."),
    "protected": (
        "redis.auth.failed",
        "it is in protected mode and takes no client from elsewhere",
        None,
        "Set a password there, and in .env.",
    ),
    "password_unused": (
        "redis.auth.failed",
        "it has no password, and the app sends one",
        "redis_credentials",
        "Set requirepass there, or drop REDIS_PASSWORD from .env.",
    ),
    "password": (
        "redis.auth.failed",
        "the user or the password is wrong",
        "redis_credentials",
        "Put the right password into .env, from the vault.",
    ),
}


def decide(ctx, observed):
    """Return the findings for each Redis that was to be reached."""
    findings = []
    for result in observed:
        findings += judge(result, ctx.thresholds["redis_memory_percent"])
    return findings


def judge(result, threshold):
    """Return the findings about one Redis (pure).

    Args:
        result: an element of what ``observe`` returns.
        threshold: (warn, fail, unit) for used_memory in percent of maxmemory.
    """
    if "unset" in result:
        advice = "Set REDIS_HOST in .env, or give the option redis_host."
        summary = "Which Redis the app uses is not known: " + result["unset"]
        return [finding("redis.unknown", "redis", "unknown", summary, advice=advice)]
    server = "Redis at %s" % result["address"]
    failure = result.get("failure")
    if failure:
        evidence = {
            "target": result["address"],
            "error_kind": failure["error_kind"],
            "message": failure["message"][:300],
        }
        if result.get("unit"):
            evidence["unit"] = result["unit"]
        identity, sentence, remedy, advice = _ERROR_KINDS[failure["error_kind"]]
        if failure["error_kind"] == "password" and result["local"]:
            return [
                finding(
                    "redis.ok",
                    "redis",
                    "ok",
                    "%s answers, and requires a password" % server,
                    evidence=evidence,
                )
            ]
        summary = "%s cannot be used: %s" % (server, sentence)
        return [
            finding(
                identity,
                "redis",
                "fail",
                summary,
                reason=failure["error_kind"],
                evidence=evidence,
                remedy=remedy,
                advice=advice,
            )
        ]
    return _judge_info(server, result, threshold)


def _judge_info(server, result, threshold):
    info = result["info"]
    evidence = {"target": result["address"]}
    evidence.update({name: info[name] for name in _FIGURES if name in info})
    lookups = (info.get("keyspace_hits") or 0) + (info.get("keyspace_misses") or 0)
    if lookups:
        evidence["hit_percent"] = round(100.0 * info["keyspace_hits"] / lookups, 1)
    if result["refused"]:
        words, advice = redis_writes.WORDS[result["refused"]]
        if result["refused"] == "replica" and info.get("master_host"):
            words += " of %s" % url.address(info["master_host"], info.get("master_port") or 0)
        refused = finding(
            "redis.writes.refused",
            "redis",
            "fail",
            "%s answers but refuses writes: %s" % (server, words),
            reason=result["refused"],
            evidence=dict(evidence, message=(result["message"] or "")[:300]),
            advice=advice,
        )
        if result["refused"] == "memory" and info.get("used_memory") and info.get("maxmemory"):
            memory = _judge_memory(server, info, threshold, evidence)
            if memory["id"] == "redis.memory.high":
                # What it refuses because of that derives from it.
                return [dict(memory, status="fail"), dict(refused, cause=memory["id"])]
        return [refused]
    if not result.get("may_ping", True):
        evidence["may_ping"] = False
        server += " (whose user may not PING, so a health check that does so fails)"
    used, limit = info.get("used_memory"), info.get("maxmemory")
    if used is None:
        evidence["memory_unknown"] = result.get("why", "INFO does not say")
        return [
            finding(
                "redis.ok",
                "redis",
                "ok",
                "%s answers; its memory may not be read" % server,
                evidence=evidence,
            )
        ]
    if not limit:
        summary = "%s answers and uses %s, without a maxmemory limit" % (server, size(used))
        return [
            finding("redis.ok", "redis", "ok", summary, value=used, unit="bytes", evidence=evidence)
        ]
    return [_judge_memory(server, info, threshold, evidence)]


def _judge_memory(server, info, threshold, evidence):
    warn, fail, unit = threshold
    used, limit = info["used_memory"], info["maxmemory"]
    percent = round(100.0 * used / limit, 1)
    status = grade(percent, warn, fail)
    evicted = info.get("evicted_keys") or 0
    if status == "ok":
        identity, advice = "redis.ok", None
    elif evicted:
        # Full and throwing keys away. Keys evicted earlier, with room now, are only evidence.
        identity = "redis.evicting"
        advice = (
            "Raise maxmemory within the host's memory, or lower the TTL of what the app caches."
        )
    else:
        identity = "redis.memory.high"
        advice = (
            "Raise maxmemory within the host's memory, or set a policy that evicts (allkeys-lru)."
        )
    return finding(
        identity,
        "redis",
        status,
        "%s uses %s of its %s (%.1f %%, threshold %g %%)%s"
        % (
            server,
            size(used),
            size(limit),
            percent,
            fail if status == "fail" else warn,
            " and has evicted %d keys" % evicted if identity == "redis.evicting" else "",
        ),
        value=percent,
        unit=unit,
        warn=warn,
        fail=fail,
        evidence=evidence,
        advice=advice,
    )
