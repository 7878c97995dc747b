# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at Cognee from one host: who answers there, its container, its port and who is let in."""

from __future__ import annotations

import socket

from ansible_collections.sergas.ops.plugins.module_utils._cognee import client as cognee_client
from ansible_collections.sergas.ops.plugins.module_utils._cognee import (
    container as cognee_container,
)
from ansible_collections.sergas.ops.plugins.module_utils._cognee import decide
from ansible_collections.sergas.ops.plugins.module_utils._cognee import replies as cognee_replies
from ansible_collections.sergas.ops.plugins.module_utils._cognee import settings as cognee_settings
from ansible_collections.sergas.ops.plugins.module_utils._core import addresses as core_addresses
from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact_all
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_config,
    container_rules,
    sockets,
    ufw,
    unit,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp

_SEARCH_TEXT = "sergas.ops cognee_check"
#: TEST-NET-3: no real client has an address of it.
_ANYBODY = "203.0.113.254"
RANGES = (("timeout", 0.1, 600), ("deadline", 1, 600))


def check_ranges(params):
    """Raise a ValueError for the first number among the options that is out of its range."""
    for name, least, most in RANGES:
        if not least <= params[name] <= most:
            raise InvalidValue(
                "%s: %r is not allowed, it must be from %g to %g"
                % (name, params[name], least, most)
            )


def run(params, deadline):
    """Return the module's result.

    Args:
        params: the module's options.
        deadline: the Deadline of it all.

    Raises:
        ValueError: an option that cannot be.
    """
    check_ranges(params)
    limits = thresholds.merge(params["thresholds"], decide.THRESHOLDS)
    settings, known = _settings(params, deadline)
    secrets = [settings[name] for name in settings if name.startswith("COGNEE_") and "KEY" in name]
    secrets += [params["api_key"]] if params["api_key"] else []
    if params["view"] == "reach":
        return redact_all(_reach(params, settings, deadline), secrets)
    container, trouble = _container(params, settings, deadline, secrets)
    try:
        service = cognee_settings.service(params, settings, cognee_container.port_of(container))
    except ValueError as error:
        return _unclear(str(error))
    seen = _look(params, service, container, trouble, known, deadline)
    findings = decide.decide(seen, limits)
    return redact_all(decide.summary(seen, findings), secrets)


def _settings(params, deadline):
    """Return ({name: value} the app runs with, whether that is known on this host)."""
    properties, _reason = unit.read(params["service"], deadline.within(3))
    folder = params["app_dir"] or unit.working_directory(properties) or app_config.DEFAULT_APP_DIR
    path = params["env_file"] or unit.environment_file(properties) or folder + "/.env"
    reading, _error = app_config.read(path)
    return app_config.settings(reading, {}, properties), reading is not None


def _reach(params, settings, deadline):
    """Return only whether Cognee is reached from here: no key is sent, so no certificate counts."""
    service = cognee_settings.service(params, settings)
    client = cognee_client.Client(service, deadline, params["timeout"])
    client.identify(full=False)
    answered = any("status" in reply for reply in client.replies.values())
    return {
        "target": service.target,
        "url": service.base,
        "reachable": answered,
        "told": None if answered else client.replies["root"].get("told"),
        "identity": cognee_replies.identity(client.replies),
        "uses_own": _uses_own(params, settings),
        "findings": [],
        "roots": [],
        "bad": 0,
    }


def _uses_own(params, settings):
    """Return whether the app of this host uses a Cognee that only this host reaches."""
    try:
        own = cognee_settings.service(dict(params, url=None), settings)
    except ValueError:
        return False
    return own.source != "default" and cognee_settings.is_loopback(own.host)


def _container(params, settings, deadline, secrets):
    try:
        port = cognee_settings.service(params, settings).port
    except ValueError:
        port = cognee_settings.DEFAULT_PORT
    try:
        return cognee_container.read(params, port, deadline.within(15), secrets), None
    except cognee_container.EngineFailed as error:
        return None, str(error)


def _look(params, service, container, trouble, known, deadline):
    client = cognee_client.Client(service, deadline, params["timeout"], _tls(service, params))
    client.identify()
    replies = client.replies
    if cognee_replies.identity(replies) == "cognee":
        if cognee_replies.readiness(replies)[0] == "ready":
            client.try_key()
            key = cognee_replies.key_state(replies, bool(service.key))
            asked = params["query"] != "none" and key in ("X-Api-Key", "Bearer", "unchecked")
            if asked:
                text = _SEARCH_TEXT if params["query"] == "search" else None
                client.query(text, None if key == "unchecked" else key)
        if params["components"]:
            client.components("X-Api-Key" if service.key else None)
    here = _is_here(service.host)
    listeners = _listeners(service.port) if here else None
    guard, access, exposed = None, [], False
    if here:
        guard, access, exposed = _access(params, service, container, deadline)
    return {
        "target": service.target,
        "base": service.base,
        "port": service.port,
        "source": service.source,
        "here": here,
        "replies": replies,
        "has_key": bool(service.key),
        "wants_key": known,
        "container": container if here else None,
        "container_error": trouble if here else None,
        "listeners": listeners,
        "guard": guard,
        "access": access,
        "exposed": exposed,
        "components_asked": params["components"],
    }


def _tls(service, params):
    if not service.base.startswith("https:"):
        return None
    import ssl  # 20 ms of CPU: only where it is needed

    return ssl.create_default_context(cafile=params["ca_path"])


def _is_here(host):
    """Return whether an address is one of this host's own: no other can be bound."""
    if cognee_settings.is_loopback(host):
        return True
    host = core_addresses.known(host) or host
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((host, 0))
                return True
        except (OSError, UnicodeError):
            continue
    return False


def _listeners(port):
    """Return {"addresses", "holder"} of a port of this host; None where /proc cannot be read."""
    addresses, holder = [], None
    try:
        found, _states = sockets.read(port)
    except OSError:
        return None
    for listener in found:
        addresses.append(listener["address"])
        for process in listener["holders"]:
            holder = holder or {
                "pid": process["pid"],
                "user": process["user"],
                "command": process["command"],
                "unit": sockets.unit_of(process["cgroup"]),
            }
    return {"addresses": sorted(set(addresses)), "holder": holder}


def _access(params, service, container, deadline):
    """Return (guard, [{"client", "allowed", "by"}], exposed).

    The guard is what decides who reaches the port: C(ufw), C(engine) where a container's engine
    publishes it past ufw, or None. It is exposed where the engine lets everybody past a firewall
    that does not.
    """
    try:
        firewall = ufw.read()
    except OSError:
        return None, [], False
    wide = cognee_container.publishes_widely(container, service.port)
    guard = "engine" if wide else "ufw" if firewall.enabled else None
    rules = container_rules.read(deadline) if wide else None
    docker = wide and container["engine"] == "docker"
    access = []
    for client in params["clients"]:
        if cognee_settings.is_loopback(client) or _is_here(client):
            continue
        source = _address(client, deadline)
        if source is None:
            allowed, by = False, "the name cannot be resolved here"
        elif wide:
            allowed, by = container_rules.verdict(rules, service.port, source, docker)
        else:
            allowed, by = ufw.verdict(firewall, service.port, source)
        access.append({"client": client, "allowed": allowed, "by": by})
    if not wide or not firewall.enabled:
        return guard, access, False
    # A firewall that opens the port to everybody means it.
    meant = ufw.verdict(firewall, service.port, _ANYBODY)[0]
    return guard, access, not meant and not container_rules.restricts(rules, service.port, docker)


def _address(client, deadline):
    """Return the address of a client that is given by it or by its name, or None."""
    found = core_addresses.known(client)
    if found is not None or not core_addresses.is_name(client):
        return found
    try:
        return tcp.resolve(client, None, deadline)[0][4][0]
    except tcp.ConnectionFailed:
        return None


def _unclear(reason):
    item = finding(
        "cognee.unknown",
        "cognee",
        "unknown",
        "Where Cognee is cannot be told: %s" % reason,
        advice="Correct it, for example COGNEE_BASE_URL=http://cognee.example.com:8001.",
        guide=decide.GUIDE,
    )
    return {
        "target": None,
        "url": None,
        "here": False,
        "reachable": False,
        "told": "url",
        "identity": "silent",
        "state": None,
        "ready": False,
        "version": None,
        "key": None,
        "query": None,
        "container": None,
        "listeners": None,
        "port": None,
        "guard": None,
        "access": [],
        "exposed": False,
        "findings": [item],
        "roots": [item["id"]],
        "bad": 1,
    }
