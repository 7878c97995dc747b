# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every probe needs to know of the host and of the options."""

from __future__ import annotations

import time

from ansible_collections.sergas.ops.plugins.module_utils._core import diagnosis, process, thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_config,
    app_endpoint,
    app_environment,
    unit,
)

#: the groups of the inventory, without their prefix ``sergas_``
COMPONENTS = ("app", "postgresql", "redis", "cognee", "lb")
#: what a remedy needs to know of the app
APP = (
    "service",
    "env_file",
    "app_dir",
    "user",
    "group",
    "port",
    "python",
    "dropin_dir",
    "database",
)


class Context(diagnosis.Context):
    """The options, the app's own configuration and the time that is left.

    Attributes:
        thresholds: {name: (warn, fail, unit)}.
        now: the time of the diagnosis, in seconds since the epoch.
        unit: the properties of the app's unit (``systemctl show``), {} where there is none.
        unit_error: why the unit could not be read, or None.
        app_environment: what the app runs with and what its next start gets, as an
            ``AppEnvironment``.
        environment: the app's .env as an ``app_config.Reading``, or None where there is none.
        environment_error: why the .env could not be read, or None.
        settings: {name: value} the app runs with, and the options over it; for probes only, as
            there are secrets in it.
        concealed: the names of settings whose values are not known.
        endpoint: where the app is to be queried, an ``app_endpoint.Endpoint``.
        port: the port the app listens on; the one it is configured to, if it listens on none.
    """

    def __init__(self, params, deadline):
        super().__init__(params, deadline, params["components"])
        self.thresholds = thresholds.merge(params["thresholds"])
        self.now = time.time()
        self.unit, self.unit_error = unit.read(params["service"], deadline.within(3))
        self.app_environment = app_environment.read(self.unit, params, self.unit_error, self.now)
        self.app_dir = self.app_environment.app_dir
        self.env_file = self.app_environment.path
        self.environment = self.app_environment.reading
        self.environment_error = self.app_environment.error
        self.concealed = self.app_environment.concealed
        self.settings = app_config.with_options(self.app_environment.values, params)
        self.endpoint = app_endpoint.find(
            self.unit, self.settings, params["port"], params["health_scheme"]
        )
        self.port = self.endpoint.port

    def has(self, component):
        """Return whether a component belongs to this host: by its groups, else by what is there."""
        if self.components is not None:
            return component in self.components
        if component == "app":
            # Where systemd is and does not answer, the app may be there.
            silent = bool(self.unit_error) and process.find("systemctl") is not None
            return bool(self.unit.get("LoadState") == "loaded" or self.environment or silent)
        return True

    def has_any(self, components):
        """Return whether one of the components belongs to this host."""
        return any(self.has(component) for component in components)

    def found(self):
        """Return the names of the components that belong to this host."""
        return [component for component in COMPONENTS if self.has(component)]

    def app(self, reached=None):
        """Return what a remedy needs to know of the app; null where there is none or it is not
        known.

        Args:
            reached: what the probe of the database saw of the app's own, or None.
        """
        if not self.has("app"):
            return dict.fromkeys(APP)
        user, group = unit.user_and_group(self.unit)
        service = unit.name(self.params["service"])
        values = (
            service,
            self.env_file,
            self.app_dir,
            user,
            group,
            self.port,
            unit.virtual_interpreter(self.unit, self.app_dir),
            "/etc/systemd/system/%s.d" % service,
            self._database(reached or {}),
        )
        return dict(zip(APP, values))

    def _database(self, reached):
        """Return host, port and name of the app's database. The port is what the server says,
        None where it has not been reached: the one in the settings may be that of a pooler.
        """
        try:
            target = app_config.database_target(self.settings)
        except NotHere:
            return None
        port = reached.get("server_port")
        return {"host": target["host"], "port": port, "name": target["name"]}

    def secrets(self):
        """Return the values that must not appear anywhere in the result."""
        found = app_config.secrets(self.settings) | self.app_environment.secrets()
        found.update(app_endpoint.headers(self.params).values())
        if self.params["latency_token"]:
            found.add(self.params["latency_token"])
        return sorted(found, key=len, reverse=True)
