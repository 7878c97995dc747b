# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings about Cognee's container (pure)."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._cognee.findings import (
    cognee_finding,
    memory,
    of_container,
)

_STOPPED = {
    "oom": "was killed because memory ran out",
    "stopped": "is stopped",
    "exited": "has ended with status %s",
    "paused": "is paused",
}


def ended(container):
    """Return (kind, sentence) of how a container that does not run has ended."""
    if container["oom_killed"]:
        return "oom", _STOPPED["oom"]
    if container["state"] == "paused":
        return "paused", _STOPPED["paused"]
    # 143 and 137 are the signals of a stop, and of one that took too long.
    if container["exit_code"] in (None, 0, 137, 143):
        return "stopped", _STOPPED["stopped"]
    return "exited", _STOPPED["exited"] % container["exit_code"]


def beside_its_answers(seen, limits, is_down):
    """Return the findings about the container that the answers of the service do not show.

    Args:
        seen: see ``decide.decide``.
        limits: thresholds, {name: (warn, fail, unit)}.
        is_down: whether there is a finding already that Cognee does not serve.
    """
    container = seen["container"]
    if seen["container_error"]:
        return [
            cognee_finding(
                "cognee.container",
                "unknown",
                "The container cannot be inspected: %s" % seen["container_error"],
                seen,
                advice="Run with become; check whether the engine itself answers.",
            )
        ]
    if not container or is_down or not container["running"]:
        return []
    name = "The container %s" % container["name"]
    evidence = {"container": of_container(container)}
    warn, fail, unit = limits["restarts"]
    # Without a restart, the mark is of an earlier run of the container: Docker 20.10 keeps it.
    starved = container["oom_killed"] and container["restarts"] > 0
    if starved or container["restarts"] >= warn:
        why = " because memory ran out" if starved else ""
        return [
            cognee_finding(
                "cognee.container",
                "fail" if container["restarts"] >= fail else "warn",
                "%s runs, but was restarted %d times%s" % (name, container["restarts"], why),
                seen,
                "oom" if starved else "restarts",
                value=container["restarts"],
                unit=unit,
                warn=warn,
                fail=fail,
                evidence=evidence,
                advice="Give it more memory (limit: %s)." % memory(container["memory_limit"])
                if starved
                else "Read its log: it starts and ends again.",
            )
        ]
    if container["health"] == "unhealthy":
        return [
            cognee_finding(
                "cognee.container",
                "warn",
                "%s is unhealthy for its engine, though it answers well" % name,
                seen,
                "healthcheck",
                evidence=dict(evidence, log=container["log"]),
                advice="Check what its health check runs; not every image has curl.",
            )
        ]
    return []


def exposed(seen):
    """Return the finding for a port that the engine publishes past the firewall."""
    container = seen["container"]
    return cognee_finding(
        "cognee.exposed",
        "warn",
        "Any client reaches %s: %s publishes it past the firewall of this host"
        % (seen["target"], container["engine"]),
        seen,
        "published",
        evidence={"ports": container["ports"]},
        remedy="allow_cognee",
        advice=(
            "Publish it on 127.0.0.1 if only this host uses it, else allow only the app's hosts."
        ),
    )
