# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to Zoho's accounts server and its API. Secrets go in bodies and headers, never in URLs.

The standard library does it, so that a host needs no driver to be diagnosed and fixed.
"""

from __future__ import annotations

import os
import re
import ssl

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, http, url
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed
from ansible_collections.sergas.ops.plugins.module_utils._zoho import replies
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import Failed, Verdict

#: Real replies have a few hundred bytes; a page has some thousands.
_MAX_BYTES = 65536
_TOKEN = "/oauth/v2/token"
_REVOKE = "/oauth/v2/token/revoke"
_CHECK = "/crm/v8/users?type=CurrentUser"
#: It has the form of a refresh token, and belongs to no client.
_MADE_UP = "1000.%s.%s" % ("0" * 32, "0" * 32)
#: reason of a failed connection: what a result calls it, where that is another word
_KINDS = {
    failures.DENIED: "unreachable",
    failures.PERMISSION: "unreachable",
    failures.PROTOCOL: "garbage",
    failures.MISSING: "closed",
}


class Client:
    """Requests to the ``Endpoints`` of a data centre, each bounded in time as a whole."""

    def __init__(self, endpoints, timeout, ca_path=None):
        """Keep the settings of the requests.

        Args:
            endpoints: a ``credentials.Endpoints``.
            timeout: seconds for each request, from the name to the last byte.
            ca_path: a file with the authorities to trust; without it, those of the system.
        """
        self.endpoints = endpoints
        self.timeout = timeout
        self._ca_path = ca_path
        self._context = None

    def refresh(self, credentials):
        """Return a new ``Grant``. This spends one of the tokens that Zoho gives in ten minutes.
        Raises ``Failed``.
        """
        return replies.token(*self._post(self.endpoints.accounts_url, _TOKEN, _form(credentials)))

    def check(self, access_token, api_url=None):
        """Return the ``Verdict`` of the API on a token; raises ``Failed``.

        Args:
            api_url: the API that the reply with the token named; a configured one takes precedence.
        """
        if not re.match(r"[\x21-\x7e]+\Z", access_token):
            return Verdict("dead", "the cached value is no token, by its characters")
        headers = {"Authorization": "Zoho-oauthtoken " + access_token}
        api_url = self.endpoints.api_url if self.endpoints.api_given or not api_url else api_url
        reply = self._send("GET", api_url + _CHECK, headers)
        return replies.check(reply.status, reply.headers, reply.body)

    def revoke(self, token):
        """Revoke an access or a refresh token; return False where it was dead already. Raises
        ``Failed``.
        """
        return replies.revoked(*self._post(self.endpoints.accounts_url, _REVOKE, {"token": token}))

    def client_refusal(self, accounts_url, credentials):
        """Return why a data centre refuses the client, as a ``Failed``, or None. The request has a
        made-up refresh token, so it spends nothing. Raises ``Failed`` where there is no answer.
        """
        form = _form(credentials._replace(refresh_token=_MADE_UP))
        return replies.client_refusal(*self._post(accounts_url, _TOKEN, form))

    def _post(self, origin, path, form):
        body = "&".join("%s=%s" % (name, url.quote(value)) for name, value in form.items())
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = self._send("POST", origin + path, headers, body.encode("ascii"))
        return reply.status, reply.body

    def _send(self, method, address, headers, body=None):
        parts = url.split(address)
        try:
            return http.send(
                method,
                address,
                Deadline(self.timeout),
                body,
                _MAX_BYTES,
                headers,
                self._trust() if parts.scheme == "https" else None,
                proxy_for(parts, os.environ),
            )
        except ConnectionFailed as error:
            raise explain(error, url.address(parts.host, parts.port) if parts.port else parts.host)

    def _trust(self):
        if self._context is None:
            try:
                self._context = ssl.create_default_context(cafile=self._ca_path)
            except OSError as error:
                reason = error.strerror or "it holds no certificate"
                raise Failed("tls", "%s: %s" % (self._ca_path, reason))
        return self._context


def _form(credentials):
    return {
        "refresh_token": credentials.refresh_token,
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "grant_type": "refresh_token",
    }


def proxy_for(parts, environment):
    """Return the ``Url`` of the proxy that the environment names for a request, or None (pure).

    Args:
        parts: the Url of the request.
        environment: {name: value}, with HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in lower
            case as well.

    Raises:
        Failed: the proxy that it names cannot be used.
    """

    def value(name):
        return (environment.get(name.lower()) or environment.get(name) or "").strip()

    named = value("HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY") or value("ALL_PROXY")
    if not named or _is_exempt(parts, value("NO_PROXY")):
        return None
    try:
        proxy = url.split(named if "://" in named else "http://" + named)
    except ValueError:
        proxy = None
    if proxy is None or proxy.scheme != "http" or not proxy.host:
        raise Failed("proxy", "the environment's proxy is none of the form http://host:port")
    return proxy


def _is_exempt(parts, exemptions):
    host = addresses.same(parts.host)
    for item in exemptions.lower().replace(",", " ").split():
        name, _colon, port = item.rpartition(":") if item.count(":") == 1 else (item, "", "")
        if port and port != str(parts.port or {"https": 443}.get(parts.scheme, 80)):
            continue
        name = addresses.known(name) or name.lstrip("*").lstrip(".")
        if item == "*" or (name and (host == name or host.endswith("." + name))):
            return True
    return False


def explain(error, host):
    """Return the ``Failed`` for a ``ConnectionFailed`` (pure)."""
    if error.reason in failures.ENCRYPTION:
        words = error.detail
        if error.reason != failures.TLS:
            words = "%s (%s)" % (failures.WORDS[error.reason], error.detail)
        return Failed(error.reason, "TLS with %s fails: %s" % (host, words))
    message = "%s cannot be used: %s" % (host, failures.WORDS[error.reason])
    return Failed(_KINDS.get(error.reason, error.reason), message)
