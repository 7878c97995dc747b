# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Cognee's replies mean: those of version 0.2 to 1.6, and those of the guide (pure).

A reply is what ``client.Client.send`` returns.
"""

from __future__ import annotations

#: The routes of a query: what real servers have, and what the guide says.
QUERIES = (("search", "/api/v1/search"), ("query", "/api/v1/query"))
#: A server that does not even accept a connection gets no further request.
NO_CONNECTION = ("dns", "refused", "unreachable", "timeout", "denied", "tls")
REFUSED = (401, 403)
#: Version 1 says these with 404 for a service that is fine and has nothing stored.
_NO_DATA = ("DatasetNotFoundError", "NoDataError")
_HELLO = "Hello, World, I am alive!"
#: Without these nothing works; without the others, it is slower or worse.
VITAL_COMPONENTS = ("relational_db", "vector_db", "graph_db", "file_storage")


def says_hello(reply):
    """Return whether this is Cognee's answer to ``GET /``."""
    return isinstance(reply.get("json"), dict) and reply["json"].get("message") == _HELLO


def identity(replies):
    """Return which service answered, by the replies ``root``, ``health`` and, where there are any,
    ``open_*``.

    Returns:
        str: ``cognee``, ``cognee-mcp``, ``other``, ``redirect`` (it redirects its clients),
        ``failing`` (errors of a server only), ``silent`` (no answer at all), or ``unclear`` where
        there was no request to the routes of a query yet.
    """
    root, health = replies.get("root", {}), replies.get("health", {})
    if says_hello(root) or _is_health(health):
        return "cognee"
    answers = [reply for reply in (root, health) if "status" in reply]
    if not answers:
        other = {"protocol", "redirect"} & {reply.get("error_kind") for reply in (root, health)}
        return "other" if other else "silent"
    if any(300 <= reply["status"] < 400 for reply in answers):
        return "redirect"
    opened = [replies["open_" + name] for name, _path in QUERIES if "open_" + name in replies]
    # A server that requires a login everywhere says nothing by requiring one here.
    guarded = root.get("status") in REFUSED
    if any(_has_route(reply) and not guarded for reply in opened):
        return "cognee"
    if all(reply["status"] >= 500 for reply in answers):
        return "failing"
    if len(opened) < len(QUERIES):
        return "unclear"
    mcp = isinstance(health.get("json"), dict) and health["json"].get("status") == "ok"
    return "cognee-mcp" if mcp and root.get("status") == 404 else "other"


def _is_health(reply):
    body = reply.get("json")
    return (
        isinstance(body, dict)
        and body.get("health") in ("healthy", "unhealthy", "degraded")
        and body.get("status") in ("ready", "not ready")
    )


def _has_route(reply):
    """Return whether a query without a key and without a text was understood as one."""
    # FastAPI says what it misses: a key first, a field of the body then.
    return reply.get("status") in (400, 401, 403, 422) and isinstance(reply.get("json"), dict)


def readiness(replies):
    """Return (state, sentence) of a server that is Cognee: whether it can serve.

    Returns:
        tuple: ``ready``, ``unhealthy``, ``failing``, ``slow`` (it runs, and its health does not
        answer in time) or ``unknown``, and the sentence for it.
    """
    health = replies.get("health", {})
    if "status" not in health:
        if says_hello(replies.get("root", {})) and health.get("error_kind") in ("hung", "timeout"):
            return "slow", "no answer of /health within %.1f s" % health["seconds"]
        return "unknown", health.get("error", "its health was not requested")
    body = health["json"] if isinstance(health["json"], dict) else {}
    word = str(body.get("health") or body.get("status") or "").lower()
    if health["status"] == 200:
        # Version 0.2 says 200 with nothing in it.
        if word in ("", "healthy", "ready", "ok", "degraded"):
            return "ready", word or "200 without a body"
        return "unhealthy", word
    if health["status"] == 503:
        return "unhealthy", word or "503"
    if health["status"] == 404:
        return "unknown", "it has no /health"
    return "failing", "/health answers %d" % health["status"]


def version(replies):
    """Return the version that the server states, or None."""
    body = replies.get("health", {}).get("json")
    version = body.get("version") if isinstance(body, dict) else None
    return str(version)[:40] if version else None


def is_open(bare):
    """Return whether a read without a key was served: the server checks no keys."""
    return bare.get("status") in (200, 400, 422) or no_data(bare)


def key_state(replies, has_key):
    """Return what became of the key.

    Returns:
        str: ``X-Api-Key`` or ``Bearer`` (accepted as such), ``unchecked``, ``refused``,
        ``missing`` (the server requires one and there is none), or ``unknown``.
    """
    bare = replies.get("bare", {})
    if is_open(bare):
        return "unchecked"
    if "key" not in replies:
        return "missing" if bare.get("status") in REFUSED and not has_key else "unknown"
    for name, manner in (("key", "X-Api-Key"), ("bearer", "Bearer")):
        reply = replies.get(name, {})
        if reply.get("status") in (200, 400, 422) or no_data(reply):
            return manner
    last = replies.get("bearer", replies["key"])
    return "refused" if last.get("status") in REFUSED else "unknown"


def no_data(reply):
    """Return whether a 404 says that nothing is stored, and thereby that all else is fine."""
    return reply.get("status") == 404 and any(name in reply.get("body", "") for name in _NO_DATA)


def is_no_route(reply):
    """Return whether the server knows no such path."""
    return reply.get("status") in (404, 405) and not no_data(reply)


def query_state(replies):
    """Return (path, state, sentence) of the query; (None, None, None) where none was made.

    The state is ``answered``, ``no data``, ``route`` (understood, and refused as incomplete),
    ``refused``, ``no route``, ``failing`` or ``slow``.
    """
    queries = [(path, replies[name]) for name, path in QUERIES if name in replies]
    if not queries:
        return None, None, None
    path, reply = queries[-1]
    if "status" not in reply:
        slow = reply["error_kind"] in ("hung", "timeout")
        return path, "slow" if slow else "failing", reply["error"]
    status = reply["status"]
    if no_data(reply):
        return path, "no data", "nothing is stored yet"
    if is_no_route(reply):
        return None, "no route", "neither %s nor %s exists" % tuple(item[1] for item in QUERIES)
    states = {200: "answered", 400: "route", 422: "route", 401: "refused", 403: "refused"}
    return path, states.get(status, "failing"), "%s answers %d" % (path, status)


def components(reply):
    """Return ({name: status}, vital, minor): the unhealthy ones of each kind; None, [], [] where
    the server does not list them.
    """
    body = reply.get("json")
    found = body.get("components") if isinstance(body, dict) else None
    if not isinstance(found, dict):
        return None, [], []
    states = {
        str(name)[:40]: str(item.get("status") if isinstance(item, dict) else item)[:40].lower()
        for name, item in list(found.items())[:20]
    }
    bad = [name for name, state in states.items() if state not in ("healthy", "ok", "up", "ready")]
    vital = [name for name in bad if name in VITAL_COMPONENTS]
    return states, vital, [name for name in bad if name not in vital]
