# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks Cognee from one host: who answers, its container, its port and who may reach it."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._cognee import access, decide
from ansible_collections.sergas.ops.plugins.module_utils._cognee import client as cognee_client
from ansible_collections.sergas.ops.plugins.module_utils._cognee import (
    container as cognee_container,
)
from ansible_collections.sergas.ops.plugins.module_utils._cognee import replies as cognee_replies
from ansible_collections.sergas.ops.plugins.module_utils._cognee import settings as cognee_settings
from ansible_collections.sergas.ops.plugins.module_utils._core import options, thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact_all
from ansible_collections.sergas.ops.plugins.module_utils._host import app_environment, unit

_SEARCH_TEXT = "sergas.ops cognee_check"
RANGES = (("timeout", 0.1, 600), ("deadline", 1, 600))


def run(params, deadline):
    """Return the module's result.

    Args:
        params: the module's options.
        deadline: the ``Deadline`` of it all.

    Raises:
        InvalidValue: an option is out of its range.
    """
    options.check_ranges(params, RANGES)
    limits = thresholds.merge(params["thresholds"], decide.THRESHOLDS)
    settings, known = _settings(params, deadline)
    secrets = [settings[name] for name in settings if name.startswith("COGNEE_") and "KEY" in name]
    secrets += [params["api_key"]] if params["api_key"] else []
    if params["view"] == "reach":
        return redact_all(_reach(params, settings, deadline), secrets)
    container, problem = _container(params, settings, deadline, secrets)
    try:
        service = cognee_settings.service(params, settings, cognee_container.port_of(container))
    except ValueError as error:
        return decide.unclear(str(error))
    seen = _inspect(params, service, container, problem, known, deadline)
    findings = decide.decide(seen, limits)
    return redact_all(decide.summary(seen, findings), secrets)


def _settings(params, deadline):
    """Return ({name: value} the app runs with, whether that is known on this host)."""
    properties, _reason = unit.read(params["service"], deadline.within(3))
    environment = app_environment.read(properties, params)
    return environment.values, environment.reading is not None


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
        "error_kind": None if answered else client.replies["root"].get("error_kind"),
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


def _inspect(params, service, container, problem, known, deadline):
    client = cognee_client.Client(service, deadline, params["timeout"], _tls(service, params))
    client.identify()
    replies = client.replies
    other = cognee_replies.identity(replies) != "cognee"
    if not other:
        if cognee_replies.readiness(replies)[0] == "ready":
            client.try_key()
            key = cognee_replies.key_state(replies, bool(service.key))
            if params["query"] != "none" and key in ("X-Api-Key", "Bearer", "unchecked"):
                text = _SEARCH_TEXT if params["query"] == "search" else None
                client.query(text, None if key == "unchecked" else key)
        if params["components"]:
            client.components("X-Api-Key" if service.key else None)
    here = access.is_here(service.host)
    guard, clients, exposed = None, [], False
    if here:
        guard, clients, exposed = access.read(params, service, container, deadline)
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
        "container_error": problem if here else None,
        "listeners": access.listeners(service.port, other and deadline) if here else None,
        "guard": guard,
        "access": clients,
        "exposed": exposed,
        "components_checked": params["components"],
    }


def _tls(service, params):
    if not service.base.startswith("https:"):
        return None
    import ssl  # 20 ms of CPU: only where it is needed

    return ssl.create_default_context(cafile=params["ca_path"])
