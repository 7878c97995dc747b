# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cognee's documented replies, of several versions, well and unwell; and what else has its port.

A manner says how it behaves:
    1.6.5, 0.5.0, 0.2.1   that version, ready
    guide                 the API that the troubleshooting guide tells of: /api/v1/query, Bearer
    open                  1.6.5 with access control off: every key is accepted, and none
    empty                 1.6.5 with nothing stored
    unhealthy             1.6.5, /health answers 503
    degraded              1.6.5, a component that is not vital is unhealthy
    slow                  1.6.5, /health takes SLOW_S
    failing               every answer is a 500
    query_failing         1.6.5, a search that goes through fails
    mcp                   cognee-mcp
    other, guarded        another JSON API; one that wants a login for everything
    page, redirect        a web page; a proxy that sends its clients elsewhere
    garbage, hang, cut    no HTTP; accepts and says nothing; accepts and closes
    hungry                takes memory without end

As a program: server.py PORT [MANNER], where the file that COGNEE_MANNER names, if it is there, says
the manner anew for each request.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "fleet-cognee-key"
SLOW_S = float(os.environ.get("COGNEE_SLOW", "40"))
NOT_FOUND = (404, {"detail": "Not Found"})
WANTS_KEY = (401, {"detail": "Authentication required. Provide an API key or a token."})
COMPONENTS = (
    "relational_db",
    "vector_db",
    "graph_db",
    "file_storage",
    "llm_provider",
    "embedding_service",
)
VERSIONS = ("1.6.5", "0.5.0", "0.2.1")
REAL = (*VERSIONS, "open", "empty", "unhealthy", "degraded", "slow", "query_failing")


class Cognee(ThreadingHTTPServer):
    """One server.

    Attributes:
        manner: how it behaves, see above.
        requests: (method, path, how a key was sent or None) of each request.
        history: the searches that were stored.
    """

    daemon_threads = True

    def __init__(self, address, manner="1.6.5", manner_file=None):
        super().__init__(address, Handler)
        self._manner = manner
        self._manner_file = manner_file
        self.requests = []
        self.history = []

    @property
    def manner(self):
        """Return how to behave now."""
        try:
            with open(self._manner_file) as file:
                return file.read().strip() or self._manner
        except (OSError, TypeError):
            return self._manner


class Handler(BaseHTTPRequestHandler):
    """Answers by the manner of its server."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        """Log as uvicorn does; never a header."""
        if sys.argv[0] == __file__:
            print('INFO:     %s - "%s"' % (self.client_address[0], self.requestline), flush=True)

    def do_any(self):
        """Read the request, then answer it or not."""
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        manner, path = self.server.manner, self.path.split("?")[0]
        key = "X-Api-Key" if self.headers.get("X-Api-Key") else None
        self.server.requests.append(
            (self.command, path, key or ("Bearer" if self.headers.get("Authorization") else None))
        )
        if manner == "hang":
            time.sleep(SLOW_S)
        while manner == "hungry":
            self.server.history.append("x" * 2**20)
        if manner in ("hang", "cut"):
            self.close_connection = True
        elif manner == "garbage":
            self.close_connection = True
            self.wfile.write(b"\x00\x01 SSH-2.0 this is no HTTP\r\n\r\n" * 4)
        elif manner == "redirect":
            self.reply(302, None, "https://login.example.com/?next=" + path)
        elif manner == "page":
            self.reply(200, "<html><body>It works!</body></html>")
        elif manner == "guarded":
            self.reply(401, {"error": "login required"})
        elif manner == "failing":
            self.reply(500, {"detail": "Internal Server Error"})
        else:
            self.reply(*self.answer(manner, path, data))

    do_GET = do_POST = do_any

    def reply(self, status, body, location=None):
        """Send one reply: JSON, a text, or nothing for None."""
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        self.send_response(status)
        self.send_header(
            "Content-Type", "text/html" if isinstance(body, str) else "application/json"
        )
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def answer(self, manner, path, data):
        """Return (status, body)."""
        if manner == "mcp":
            return (200, {"status": "ok"}) if path == "/health" else NOT_FOUND
        if manner == "other":
            return (200, {"status": "healthy"}) if path == "/health" else (200, {"name": "shop"})
        if manner == "guide":
            return self.of_guide(path, data)
        if path == "/":
            return 200, {"message": "Hello, World, I am alive!"}
        if path == "/health":
            return self.health(manner)
        if path == "/health/detailed" and manner != "0.2.1":
            return self.detailed(manner)
        if path not in ("/api/v1/search", "/api/v1/datasets", "/api/v1/auth/me"):
            return NOT_FOUND
        accepted = self.headers.get("X-Api-Key") == KEY
        if not accepted and manner != "open":
            return WANTS_KEY
        return self.search(manner, data) if path.endswith("search") else (200, [])

    def of_guide(self, path, data):
        """Answer as the guide has it."""
        if path == "/health":
            return 200, {"status": "ok"}
        if path != "/api/v1/query":
            return NOT_FOUND
        if self.headers.get("Authorization") != "Bearer " + KEY:
            return 401, {"detail": "Unauthorized"}
        return self.search("guide", data)

    def health(self, manner):
        """Answer /health by version and state."""
        if manner == "slow":
            time.sleep(SLOW_S)
        if manner == "0.2.1":
            return 200, None
        version = manner if manner in VERSIONS else "1.6.5"
        if manner == "unhealthy":
            return 503, {"status": "not ready", "health": "unhealthy", "version": version}
        return 200, {"status": "ready", "health": "healthy", "version": version}

    def detailed(self, manner):
        """Answer with all components."""
        bad = {"degraded": "embedding_service", "unhealthy": "graph_db"}.get(manner)
        states = {
            name: {
                "status": "unhealthy" if name == bad else "healthy",
                "provider": "local",
                "response_time_ms": 3,
                "details": "",
            }
            for name in COMPONENTS
        }
        status = 503 if bad and manner != "0.5.0" else 200
        return status, {"status": "degraded" if bad else "healthy", "components": states}

    def search(self, manner, data):
        """Search, and keep it in the history."""
        try:
            text = json.loads(data).get("query")
        except (ValueError, AttributeError):
            text = None
        if not text:
            return 400, {"detail": [{"loc": ["body", "query"], "msg": "Field required"}]}
        self.server.history.append(text)
        if manner == "query_failing":
            return 500, {"error": "the language model does not answer"}
        if manner == "empty":
            return 404, {"error": "Search prerequisites not met [DatasetNotFoundError]"}
        return 200, []


if __name__ == "__main__":
    port, how = int(sys.argv[1]), (sys.argv[2:] or ["1.6.5"])[0]
    Cognee(("0.0.0.0", port), how, os.environ.get("COGNEE_MANNER")).serve_forever()
