# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a run: the app's settings, the options over them, and their store."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_config,
    app_environment,
    unit,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import redis, resp
from ansible_collections.sergas.ops.plugins.module_utils._zoho import credentials, host_store, store
from ansible_collections.sergas.ops.plugins.module_utils._zoho.credentials import Unusable, digest
from ansible_collections.sergas.ops.plugins.module_utils._zoho.store import StoreFailed

#: A lease lasts this much longer than the request it is for; in seconds.
_LEASE_MARGIN = 5
#: How long a run waits for a Redis that restarts, where something is to be done; in seconds.
_RESTART_TIMEOUT = 15
#: The ranges of the options that are numbers: (name, least, most).
RANGES = (
    ("min_ttl", 0, 3300),
    ("max_age", 0, 3300),
    ("budget", 1, 1000),
    ("budget_window", 1, 86400),
    ("timeout", 1, 120),
    ("deadline", 1, 3600),
    ("redis_port", 1, 65535),
    ("redis_db", 0, 65535),
)
_DATABASE = re.compile(r"[0-9]{1,5}\Z")


def read(params, deadline):
    """Return ({name: value} the app runs with, why its .env could not be read or None)."""
    properties = unit.read(params["service"], deadline.within(3))[0]
    environment = app_environment.read(properties, params)
    reason = environment.error
    if environment.reading is None and reason is None:
        reason = "%s does not exist" % environment.path
    return app_config.with_options(environment.values, params), reason


def choose_credentials(settings, params, reason=None):
    """Return the ``Credentials``, or None where the state needs none (pure); raises ``Unusable``.

    Args:
        settings: {name: value} the app runs with.
        params: the options of the module.
        reason: why the app's .env could not be read, or None.
    """
    try:
        return credentials.choose(settings, params, params["credentials"])
    except Unusable as error:
        if params["state"] == "absent" and params["revoke"] != "refresh_token":
            return None
        if error.error_kind == "credentials" and reason:
            raise Unusable(error.error_kind, "%s (%s)" % (error, reason), error.names)
        raise


def redis_target(settings, params):
    """Return the ``redis.Target`` of the Redis that the fleet shares, or None where none is set
    (pure).

    Raises:
        StoreFailed: the URL of the Sentinels is invalid.
    """
    address = settings.get("REDIS_URL", "")
    if params["redis_host"] is None and address.startswith(resp.SENTINEL_SCHEMES):
        target = _sentinel_target(address, settings, params)
    else:
        found = app_config.redis_target(settings)
        if not found:
            return None
        target = redis.Target(
            found["host"],
            found["port"],
            found["user"],
            found["password"],
            _database(settings),
            found["tls"],
        )
    if params["redis_db"] is not None:
        target = target._replace(database=params["redis_db"])
    if params["redis_tls"] is not None:
        target = target._replace(tls=params["redis_tls"])
    return target._replace(ca_path=params["redis_ca_path"])


def _sentinel_target(address, settings, params):
    try:
        target = redis.sentinel_target(address)
    except ValueError as error:
        raise StoreFailed("refusal", "REDIS_URL: %s" % error)
    user, password = params["redis_user"], params["redis_password"]
    return target._replace(
        user=user or target.user or settings.get("REDIS_USERNAME"),
        password=password or target.password or settings.get("REDIS_PASSWORD"),
    )


def secrets(target):
    """Return the secrets of what ``redis_target`` returns (pure)."""
    if target is None:
        return []
    sentinels = target.sentinels
    found = [target.password, sentinels.password if sentinels else None]
    return [secret for secret in found if secret]


def _database(settings):
    """Return the number of the database: the option ``db`` of the URL, its path, or REDIS_DB."""
    options = dict(
        item.partition("=")[::2] for item in settings.get("REDIS_URL.query", "").split("&")
    )
    path = settings.get("REDIS_URL.path", "").strip("/")
    for text in (options.get("db", ""), path, settings.get("REDIS_DB", "")):
        if _DATABASE.match(text):
            return int(text)
    return 0


def open_store(target, params, deadline, chosen, accounts_url):
    """Return the store of the fleet, or that of this host where there is no Redis.

    Args:
        target: what ``redis_target`` returns.
        params: the options of the module.
        deadline: the ``Deadline`` of the run.
        chosen: the ``Credentials``, or None.
        accounts_url: the URL of the accounts server.
    """
    fingerprint, refresh_token = "none", "none"
    if chosen:
        fingerprint = chosen.fingerprint(accounts_url)
        refresh_token = digest(chosen.refresh_token)
    budget = (params["budget"], params["budget_window"])
    if target is None:
        return host_store.HostStore(fingerprint, refresh_token, *budget)
    observes = params["state"] == "observed"
    return store.RedisStore(
        target,
        fingerprint,
        refresh_token,
        *budget,
        lease=params["timeout"] + _LEASE_MARGIN,
        prefix=params["redis_prefix"],
        timeout=0 if observes else min(_RESTART_TIMEOUT, deadline.remaining() / 2),
    )
