# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to a server that may be Cognee. It decides nothing but which request comes next.

The key is sent only to a server that has shown to be Cognee, and no request leaves a trace unless
the options say so: every real search is written to the history of the key's owner.
"""

from __future__ import annotations

import json
import time

from ansible_collections.sergas.ops.plugins.module_utils._cognee import replies
from ansible_collections.sergas.ops.plugins.module_utils._net import http
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

#: ``GET /`` takes milliseconds on a server that works; in seconds.
_ALIVE_SECONDS = 3.0
_MAX_BYTES = 65536
#: A body that no search accepts: the route and the key are checked, and nothing is searched for.
_NO_QUERY: Dict[str, str] = {}


class Client:
    """One server, with one deadline for all requests.

    Attributes:
        replies: {name: what ``send`` returned}.
    """

    def __init__(self, service, deadline, timeout, context=None):
        """Keep the settings.

        Args:
            service: a ``settings.Service``.
            deadline: for all requests together.
            timeout: how long one of them may take, in seconds.
            context: the ``ssl.SSLContext`` for https.
        """
        self.service = service
        self.replies = {}
        self._deadline = deadline
        self._timeout = timeout
        self._context = context

    def send(self, name, method, path, body=None, key=None, seconds=None):
        """Send a request, keep the answer under a name, and return it.

        Args:
            name: of the answer.
            body: of a POST, as plain data.
            key: how the key is sent: ``X-Api-Key``, ``Bearer``, or None for not at all.
            seconds: to wait, if that is less than the timeout.

        Returns:
            dict: {"error_kind", "error", "seconds"} where there was no answer, else {"status",
            "json", "body", "location", "seconds"}.
        """
        headers = {"Accept": "application/json"}
        if key == "Bearer":
            headers["Authorization"] = "Bearer " + self.service.key
        elif key:
            headers[key] = self.service.key
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode("utf-8")
        started = time.monotonic()
        limit = self._deadline.within(min(self._timeout, seconds or self._timeout))
        try:
            reply = http.send(
                method,
                self.service.base + path,
                limit,
                body=data,
                max_bytes=_MAX_BYTES,
                headers=headers,
                context=self._context,
            )
        except ConnectionFailed as error:
            answer = {"error_kind": error.reason, "error": str(error)}
        else:
            answer = {
                "status": reply.status,
                "json": _parsed(reply),
                "body": reply.text()[:300],
                "location": reply.headers.get("location"),
            }
        answer["seconds"] = round(time.monotonic() - started, 4)
        self.replies[name] = answer
        return answer

    def identify(self, full=True):
        """Find out which service it is, without the key.

        Args:
            full: whether the health is requested even if ``/`` has said which service it is.
        """
        alive = self.send("root", "GET", "/", seconds=_ALIVE_SECONDS)
        if alive.get("error_kind") in replies.NO_CONNECTION:
            return
        if full or not replies.says_hello(alive):
            self.send("health", "GET", "/health")
        if replies.identity(self.replies) == "unclear":
            for name, path in replies.QUERIES:
                self.send("open_" + name, "POST", path, _NO_QUERY)

    def try_key(self):
        """Check by a cheap read whether the server requires a key and accepts the one there is."""
        method, path, body = "GET", "/api/v1/datasets", None
        bare = self.send("bare", method, path)
        if bare.get("status") in (404, 405):
            for _name, other in replies.QUERIES:
                bare = self.send("bare", "POST", other, _NO_QUERY)
                if bare.get("status") != 404:
                    method, path, body = "POST", other, _NO_QUERY
                    break
        if not self.service.key or replies.is_open(bare):
            return
        reply = self.send("key", method, path, body, key="X-Api-Key")
        if reply.get("status") in replies.REFUSED:
            self.send("bearer", method, path, body, key="Bearer")

    def query(self, text, key):
        """Query by the real route, else by the guide's.

        Args:
            text: what to search for; None for a query that is refused as incomplete, which
                verifies the route and leaves no trace.
            key: as of ``send``.
        """
        body = _NO_QUERY if text is None else {"query": text, "search_type": "CHUNKS"}
        for name, path in replies.QUERIES:
            reply = self.send(name, "POST", path, body, key=key)
            if not replies.is_no_route(reply):
                return

    def components(self, key):
        """Request the state of the components, which may cost calls of the language model."""
        self.send("components", "GET", "/health/detailed", key=key)


def _parsed(reply):
    try:
        return json.loads(reply.text()) if reply.body and not reply.truncated else None
    except ValueError:
        return None
