# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zoho for the reference fleet: the server of tests/zoho_server, on the fleet's own network, under
Zoho's real names and with certificates that the hosts trust.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path

import fleet as reference

_FILE = Path(__file__).resolve().parents[1] / "zoho_server" / "server.py"
_SPEC = importlib.util.spec_from_file_location("zoho_server", _FILE)
server = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = server
_SPEC.loader.exec_module(server)

APP = "/home/sergas/super-account-manager"


class World:
    """One Zoho that all hosts of the fleet reach, each with a separate client."""

    def __init__(self, directory):
        # The controller's address in the hosts' network; 443, since the names are the real ones.
        self.address = str(reference.network()[1])
        self.served = server.Server(server.Zoho(), directory, 443, self.address)
        self.zoho = self.served.zoho
        self.apps, self.refresh_tokens = {}, {}

    def close(self):
        self.served.close()

    def add_client(self, host, data_centre="us"):
        """Let a host's app be a client of this Zoho, and wait until it is healthy.

        Args:
            host: its name.
            data_centre: where its account is; its .env says us in any case.
        """
        app = self.apps[host] = self.zoho.register(data_centre)
        self.refresh_tokens[host] = self.zoho.refresh_token(app)
        self.join(host)
        accounts, api = server.HOSTS["us"]
        self.set_env(
            host,
            ZOHO_SDK_CLIENT_ID=app.id,
            ZOHO_SDK_CLIENT_SECRET=app.secret,
            ZOHO_SDK_REFRESH_TOKEN=self.refresh_tokens[host],
            ZOHO_ACCOUNTS_URL="https://" + accounts,
            ZOHO_API_URL="https://" + api,
            MAX_RETRY_ATTEMPTS=1,
        )
        self.clear(host)
        self.restart(host)

    def join(self, host):
        """Let a host reach this Zoho by its names, and trust its certificate."""
        names = " ".join(name for pair in server.HOSTS.values() for name in pair)
        self.put(host, "/usr/local/share/ca-certificates/zoho.crt", self.served.certificate)
        self.run(
            host, "update-ca-certificates >&2; echo %s %s >> /etc/hosts" % (self.address, names)
        )

    def share_redis(self, host):
        """Open a host's Redis to the fleet, and return the options of zoho_token for it."""
        self.redis(host, "CONFIG", "SET", "bind", "0.0.0.0")
        self.run(host, "ufw allow from %s to any port 6379 proto tcp" % reference.network())
        return {
            "redis_host": reference.find(host).address,
            "redis_password": self.env(host, "REDIS_PASSWORD"),
            # Beside the token of the host's own app.
            "redis_prefix": "fleet:",
        }

    def secrets(self):
        """Return every secret of Zoho's that there is by now."""
        return {app.secret for app in self.apps.values()} | {*self.zoho.grants, *self.zoho.tokens}

    # -- what is done to a host

    def run(self, host, script):
        """Run a shell script on a host as root and return its output."""
        return reference.on(reference.find(host), "set -e\n" + script).stdout.strip()

    def put(self, host, path, source):
        """Put a file of the controller's on a host."""
        container = reference.find(host).container
        reference.run("podman", "cp", source, "%s:%s" % (container, path))

    def set_env(self, host, **values):
        """Set variables of the app's .env, in place."""
        lines = ["file=%s/.env" % APP]
        for name, value in values.items():
            lines.append("sed -i '/^%s=/d' $file" % name)
            lines.append("echo %s >> $file" % shlex.quote("%s=%s" % (name, value)))
        self.run(host, "\n".join(lines))

    def env(self, host, name):
        """Return the value of a variable of the app's .env."""
        return self.run(host, "sed -n 's/^%s=//p' %s/.env" % (name, APP))

    def redis(self, host, *words):
        """Return the reply of the host's Redis to a command."""
        password = "REDISCLI_AUTH=$(sed -n 's/^REDIS_PASSWORD=//p' %s/.env)" % APP
        return self.run(host, password + " redis-cli " + shlex.join(words))

    def cached(self, host):
        """Return the token in the host's Redis, or an empty text."""
        return self.redis(host, "GET", "zoho:access_token")

    def clear(self, host):
        """Empty the host's Redis."""
        self.redis(host, "FLUSHALL")

    def restart(self, host, wanted="200"):
        """Restart the app and wait for the status of its health endpoint."""
        self.run(
            host,
            "systemctl restart sergas-app\n"
            "for try in $(seq 300); do\n"
            '  [ "$(%s)" = %s ] && exit 0; sleep 0.2\n'
            "done\n"
            "exit 1" % (self._status("/health"), wanted),
        )

    def synchronise(self, host, times=1):
        """Have the app call Zoho's API, so many times; whatever comes of it."""
        request = self._status("/api/v1/accounts/sync", "--request POST")
        self.run(host, "for try in $(seq %d); do %s > /dev/null; done" % (times, request))

    @staticmethod
    def _status(path, options=""):
        return (
            "curl --silent --max-time 20 --output /dev/null --write-out '%%{http_code}' %s"
            " http://127.0.0.1:8000%s || :" % (options, path)
        )
