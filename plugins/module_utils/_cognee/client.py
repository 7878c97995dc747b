# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks a server that is said to be Cognee. It decides nothing but what is worth asking next.

The key is sent to nobody who has not shown to be Cognee, and no question leaves a trace unless that
is asked for: every real search is written to the history of the key's owner.
"""

from __future__ import annotations

import json
import time

from ansible_collections.sergas.ops.plugins.module_utils._cognee import replies
from ansible_collections.sergas.ops.plugins.module_utils._net import http
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

#: C(GET /) takes milliseconds on a server that lives; in seconds.
_ALIVE_SECONDS = 3.0
_MAX_BYTES = 65536
#: A body that no search takes: the route and the key are checked, and nothing is searched for.
_NO_QUERY = {}


class Client:
    """One server, asked under one deadline.

    Attributes:
        replies: {name: what came of it}, see ask.
    """

    def __init__(self, service, deadline, timeout, context=None):
        """Take what is to be asked.

        Args:
            service: a cognee_settings.Service.
            deadline: for all questions together.
            timeout: how long one of them may take, in seconds.
            context: the C(ssl.SSLContext) for https.
        """
        self.service = service
        self.replies = {}
        self._deadline = deadline
        self._timeout = timeout
        self._context = context

    def ask(self, name, method, path, body=None, key=None, seconds=None):
        """Ask, note the answer under a name, and return it.

        Args:
            name: what it is noted under.
            body: of a POST, as plain data.
            key: how the key is sent: C(X-Api-Key), C(Bearer), or None for not at all.
            seconds: to wait, if that is less than the timeout.

        Returns:
            dict: {"told", "error", "seconds"} where there was no answer, else {"status", "json",
            "body", "location", "seconds"}.
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
            answer = {"told": error.reason, "error": str(error)}
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
        """Ask who is there, without the key.

        Args:
            full: whether the health is asked for even if C(/) has said who it is.
        """
        alive = self.ask("root", "GET", "/", seconds=_ALIVE_SECONDS)
        if alive.get("told") in replies.NO_CONNECTION:
            return
        if full or not replies.says_hello(alive):
            self.ask("health", "GET", "/health")
        if replies.identity(self.replies) == "unclear":
            for name, path in replies.QUERIES:
                self.ask("open_" + name, "POST", path, _NO_QUERY)

    def try_key(self):
        """See whether the server wants a key and takes the one there is; on a cheap read."""
        method, path, body = "GET", "/api/v1/datasets", None
        bare = self.ask("bare", method, path)
        if bare.get("status") in (404, 405):
            for _name, other in replies.QUERIES:
                bare = self.ask("bare", "POST", other, _NO_QUERY)
                if bare.get("status") != 404:
                    method, path, body = "POST", other, _NO_QUERY
                    break
        if not self.service.key or replies.is_open(bare):
            return
        reply = self.ask("key", method, path, body, key="X-Api-Key")
        if reply.get("status") in replies.REFUSED:
            self.ask("bearer", method, path, body, key="Bearer")

    def query(self, text, key):
        """Query by the real route, else by the guide's.

        Args:
            text: what to search for, None for a question that is refused as incomplete, which
                proves the route and leaves no trace.
            key: as of ask.
        """
        body = _NO_QUERY if text is None else {"query": text, "search_type": "CHUNKS"}
        for name, path in replies.QUERIES:
            reply = self.ask(name, "POST", path, body, key=key)
            if not replies.is_no_route(reply):
                return

    def components(self, key):
        """Ask for the state of the components, which may cost calls of the language model."""
        self.ask("components", "GET", "/health/detailed", key=key)


def _parsed(reply):
    try:
        return json.loads(reply.text()) if reply.body and not reply.truncated else None
    except ValueError:
        return None
