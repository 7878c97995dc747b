# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cognee's container on this host, by the command line of Docker or podman, which need no library.

Functions that begin with ``read`` run commands; all others are pure.
"""

from __future__ import annotations

import json
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact

ENGINES = ("docker", "podman")
#: cognee-mcp is another service, also where it stands in the same compose file.
_NAME = re.compile(
    r"(?<![a-z])cognee(?![a-z])(?![-_]?(?:mcp|frontend|ui|db|postgres|neo4j|redis))", re.I
)
_PUBLISHED = re.compile(r"(?:(?P<address>[^\s,]*):)?(?P<host>\d+)->(?P<inside>\d+)/tcp")
_LOG_LINES = 10
_LOG_LINE_LENGTH = 300


class EngineFailed(OperationError):
    """An engine does not answer; the message has the reason."""


def read(params, port, deadline, secrets=()):
    """Return the state of the container, None where there is none.

    Args:
        params: the module's options: engine, container.
        port: the port of Cognee, to choose among several containers.
        deadline: for all commands together.
        secrets: values that no log line may show.

    Raises:
        EngineFailed: no engine of this host answers, or the container that is named does not
            exist.
    """
    engines = ENGINES if params["engine"] == "auto" else (params["engine"],)
    reasons, queried = [], 0
    for engine in engines:
        if engine == "none" or process.find(engine) is None:
            continue
        queried += 1
        try:
            name = params["container"] or choose(read_list(engine, deadline), port)
            if name:
                inspected = _run([engine, "inspect", "--type", "container", "--", name], deadline)
                seen = describe(engine, json.loads(inspected)[0])
                if not seen["running"] or seen["health"] == "unhealthy":
                    seen["log"] = read_log(engine, seen["name"], deadline, secrets)
                return seen
        except (EngineFailed, DeadlineExceeded, LookupError) as error:
            reasons.append("%s: %s" % (engine, error))
        except (ValueError, TypeError, AttributeError):
            reasons.append("%s: inspect does not print what it should" % engine)
    if reasons:
        raise EngineFailed("; ".join(reasons))
    if params["container"] and queried == 0:
        raise EngineFailed("neither docker nor podman is on this host")
    return None


def read_list(engine, deadline):
    """Return [(name, image, ports)] of all containers of an engine, the stopped ones included."""
    fields = "{{.Names}}\t{{.Image}}\t{{.Ports}}"
    out = _run([engine, "ps", "--all", "--no-trunc", "--format", fields], deadline)
    found = [tuple(line.split("\t")) for line in out.splitlines() if line.strip()]
    if any(len(fields) != 3 for fields in found):
        raise EngineFailed("ps does not print what it should")
    return found


def read_log(engine, name, deadline, secrets=()):
    """Return the last lines of a container's log, short and without secrets."""
    try:
        _status, out, err = process.run(
            [engine, "logs", "--tail", str(_LOG_LINES), "--", name], deadline.within(5)
        )
    except (process.CommandMissing, DeadlineExceeded):
        return []
    lines = [line.rstrip() for line in (out + err).splitlines() if line.strip()]
    return [redact(line, secrets)[:_LOG_LINE_LENGTH] for line in lines[-_LOG_LINES:]]


def _run(argv, deadline):
    status, out, err = process.run(argv, deadline.within(10))
    if status:
        raise EngineFailed((err.strip().splitlines() or ["exit status %d" % status])[-1][:200])
    return out


def choose(containers, port):
    """Return the name of Cognee's container, or None.

    One is Cognee's by its own name or by that of its image. Of several, the one that publishes the
    port wins.
    """
    ours = [item for item in containers if _is_named(item[0]) or _is_named(item[1])]
    by_port = [item for item in ours if port in dict(published(item[2]))]
    return (by_port or ours or [(None, "", "")])[0][0]


def _is_named(text):
    # Of a registry/directory/name:tag, the name alone.
    return bool(_NAME.search(text.rpartition("/")[2].partition(":")[0]))


def published(text):
    """Return [(port of the host, address)] of the ports column of ``ps``."""
    return [
        (int(found.group("host")), addresses.known(found.group("address")) or "")
        for found in _PUBLISHED.finditer(text)
    ]


def describe(engine, inspected):
    """Return what matters of an ``inspect``, by Docker or podman."""
    state = inspected.get("State") or {}
    host = inspected.get("HostConfig") or {}
    config = inspected.get("Config") or {}
    health = state.get("Health") or state.get("Healthcheck") or {}
    labels = config.get("Labels") or {}
    ports = []
    for inside, bindings in sorted((host.get("PortBindings") or {}).items()):
        for binding in bindings or ():
            if inside.endswith("/tcp") and str(binding.get("HostPort") or "").isdigit():
                ports.append(
                    {
                        "address": binding.get("HostIp") or "0.0.0.0",  # noqa: S104
                        "port": int(binding["HostPort"]),
                        "inside": int(inside.partition("/")[0]),
                    }
                )
    return {
        "engine": engine,
        "name": str(inspected.get("Name", "")).lstrip("/"),
        "image": config.get("Image"),
        "state": state.get("Status"),
        "running": bool(state.get("Running")),
        # podman says "" where no health check is defined
        "health": health.get("Status") or None,
        "exit_code": None if state.get("Running") else state.get("ExitCode"),
        "oom_killed": bool(state.get("OOMKilled")),
        "error": state.get("Error") or None,
        "restarts": int(inspected.get("RestartCount") or 0),
        "restart_policy": (host.get("RestartPolicy") or {}).get("Name") or "no",
        "memory_limit": host.get("Memory") or None,
        "network": host.get("NetworkMode"),
        "ports": ports,
        "started": state.get("StartedAt"),
        "finished": state.get("FinishedAt"),
        "compose": {
            "project_dir": labels.get("com.docker.compose.project.working_dir"),
            "service": labels.get("com.docker.compose.service"),
        },
        "log": [],
    }


def port_of(container):
    """Return the port of the host that leads to Cognee, or None."""
    ports = container["ports"] if container else []
    # The API listens on 8000 in its image; another mapping is the administrator's.
    inside = [item for item in ports if item["inside"] == 8000] or ports
    return inside[0]["port"] if inside else None


def inside_port(container, port):
    """Return the container's own port behind one of the host, or None."""
    ports = container["ports"] if container else ()
    return next((item["inside"] for item in ports if item["port"] == port), None)


def publishes_widely(container, port):
    """Return whether the engine itself allows any client to a port, past the host's firewall."""
    return bool(container) and any(
        item["port"] == port and (not item["address"] or addresses.is_any(item["address"]))
        for item in container["ports"]
    )
