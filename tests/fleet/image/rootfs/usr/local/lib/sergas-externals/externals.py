# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Zoho's token and user replies on :8002 and Cognee's documented replies on :8001.

Just enough for the service's own health check to make real calls. A file named after the service
in the runtime directory changes its manner: "500", "429", "slow", or for Zoho an error of the token
endpoint such as "invalid_code".
"""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RUNTIME = os.environ.get("RUNTIME_DIRECTORY", "/run/sergas-externals")
SLOW_S = 4
COGNEE_KEY = "fleet-cognee-key"
TOKEN = "1000.fleet.access"


def manner(service: str) -> str:
    """Return how a service shall behave now; "" is well."""
    try:
        with open(os.path.join(RUNTIME, service)) as file:
            return file.read().strip()
    except OSError:
        return ""


class Service(BaseHTTPRequestHandler):
    """What both services share."""

    protocol_version = "HTTP/1.1"
    name = ""

    def log_message(self, format, *args):
        """Say nothing: these are other people's servers."""

    def reply(self, status: int, body) -> None:
        """Send one JSON reply."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self) -> None:
        """Read the request, behave as configured, or answer well."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        how = manner(self.name)
        if how == "slow":
            time.sleep(SLOW_S)
        if how == "500":
            self.reply(500, {"code": "INTERNAL_ERROR", "details": {}, "status": "error"})
        elif how == "429":
            self.reply(429, {"code": "TOO_MANY_REQUESTS", "details": {}, "status": "error"})
        else:
            self.answer(self.path.split("?")[0], how)

    do_GET = do_POST = handle_any


class Zoho(Service):
    """The token endpoint and the cheap check of a token."""

    name = "zoho"

    def answer(self, path: str, how: str) -> None:
        """Answer by path; how may name an error of the token endpoint."""
        if path == "/oauth/v2/token":
            if how.startswith("invalid_"):
                self.reply(200, {"error": how})
            else:
                self.reply(200, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})
        elif self.headers.get("Authorization") != "Zoho-oauthtoken " + TOKEN:
            self.reply(401, {"code": "INVALID_TOKEN", "details": {}, "status": "error"})
        else:
            self.reply(200, {"users": [{"id": "1", "status": "active"}]})


class Cognee(Service):
    """Liveness, health and search as documented."""

    name = "cognee"

    def answer(self, path: str, how: str) -> None:
        """Answer by path; how "unhealthy" makes /health say so."""
        if path == "/":
            self.reply(200, {"message": "Hello, World, I am alive!"})
        elif path == "/health" and how == "unhealthy":
            body = {"status": "not ready", "health": "unhealthy", "version": "1.6.5"}
            self.reply(503, body)
        elif path == "/health":
            self.reply(200, {"status": "ready", "health": "healthy", "version": "1.6.5"})
        elif path != "/api/v1/search":
            self.reply(404, {"detail": "Not Found"})
        elif self.headers.get("X-Api-Key") != COGNEE_KEY:
            self.reply(401, {"detail": "Authentication required"})
        else:
            self.reply(200, [])


cognee = ThreadingHTTPServer(("127.0.0.1", 8001), Cognee)
threading.Thread(target=cognee.serve_forever, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", 8002), Zoho).serve_forever()
