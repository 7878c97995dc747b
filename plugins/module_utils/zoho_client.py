# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks Zoho's accounts server and its API. Secrets go in bodies and headers, never in URLs."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
import traceback

from ansible_collections.sergas.ops.plugins.module_utils import zoho_replies
from ansible_collections.sergas.ops.plugins.module_utils.zoho_replies import Failed

try:
    import requests
except ImportError:
    requests = None
    REQUESTS_IMPORT_ERROR = traceback.format_exc()
else:
    REQUESTS_IMPORT_ERROR = None

#: Real replies have a few hundred bytes; a page has some thousands.
_MAX_BYTES = 65536
_TOKEN = "/oauth/v2/token"
_REVOKE = "/oauth/v2/token/revoke"
_CHECK = "/crm/v8/users?type=CurrentUser"
#: of the form of a refresh token, and nobody's
_MADE_UP = "1000.%s.%s" % ("0" * 32, "0" * 32)


class Client:
    """Requests to one L(Place), each bounded in time as a whole."""

    def __init__(self, place, timeout, ca_path=None):
        """Keep what the requests need.

        Args:
            place: a zoho_credentials.Place.
            timeout: seconds for each request, from the name to the last byte.
            ca_path: a file with the authorities to trust; without it, those of the library or of
                the system.
        """
        self.place = place
        self.timeout = timeout
        self._ca_path = ca_path

    def refresh(self, credentials):
        """Return a new L(Grant). This spends one of the tokens that Zoho gives in ten minutes.
        Raises Failed.
        """
        return zoho_replies.token(*self._post(self.place.accounts_url, _TOKEN, _form(credentials)))

    def check(self, access_token, api_url=None):
        """Return the L(Verdict) of the API on a token. Raises Failed.

        Args:
            api_url: that of the reply the token came in; an address that was configured comes
                first.
        """
        headers = {"Authorization": "Zoho-oauthtoken " + access_token}
        api_url = self.place.api_url if self.place.api_given or not api_url else api_url
        return zoho_replies.check(*self._send("GET", api_url + _CHECK, headers=headers))

    def revoke(self, token):
        """Revoke an access or a refresh token; return False where it was dead already. Raises
        Failed.
        """
        return zoho_replies.revoked(*self._post(self.place.accounts_url, _REVOKE, {"token": token}))

    def knows_client(self, accounts_url, credentials):
        """Return whether a data centre knows the client: asked with a made-up refresh token, it
        spends nothing.
        """
        form = _form(credentials._replace(refresh_token=_MADE_UP))
        return zoho_replies.knows_client(*self._post(accounts_url, _TOKEN, form))

    def _post(self, origin, path, form):
        status, _headers, body = self._send("POST", origin + path, data=form)
        return status, body

    def _send(self, method, address, **arguments):
        """Return (status, headers, body) of a request; raises Failed.

        Neither the resolver nor a server that sends byte by byte keeps to a timeout of the library,
        so the request has a thread of its own, which is left behind when its time is over.
        """
        answer = []

        def run():
            try:
                answer.append(self._request(method, address, **arguments))
            except Exception as error:  # whatever it is, it is told below, in words without secrets
                answer.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(self.timeout + 0.5)
        host = address.split("/")[2]
        if not answer:
            raise Failed("hung", "%s did not answer within %d s" % (host, self.timeout))
        if isinstance(answer[0], Exception):
            raise explain(answer[0], host)
        return answer[0]

    def _request(self, method, address, **arguments):
        with requests.Session() as session:
            # Without this, ~/.netrc would replace the Authorization header.
            session.auth = lambda request: request
            if self._ca_path:
                # REQUESTS_CA_BUNDLE of the environment would come before session.verify.
                arguments["verify"] = self._ca_path
            with session.request(
                method,
                address,
                timeout=self.timeout,
                allow_redirects=False,
                stream=True,
                **arguments,
            ) as reply:
                body = reply.raw.read(_MAX_BYTES, decode_content=True)
                return (
                    reply.status_code,
                    {name.lower(): value for name, value in reply.headers.items()},
                    body,
                )


def _form(credentials):
    return {
        "refresh_token": credentials.refresh_token,
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "grant_type": "refresh_token",
    }


_NUMBERS = {
    errno.ECONNREFUSED: ("refused", "nothing listens there"),
    errno.EHOSTUNREACH: ("unreachable", "no route leads there"),
    errno.ENETUNREACH: ("unreachable", "no route leads there"),
    errno.EACCES: ("unreachable", "this host's own firewall rejects it"),
    errno.EPERM: ("unreachable", "this host's own firewall rejects it"),
}


def explain(error, host):
    """Return the Failed for an error of the library (pure).

    The library wraps errors in errors; the innermost one that is known says what happened. The
    message is never that of the library, which may quote a header.
    """
    chain = list(_chain(error))

    def within(*names):
        return any(type(item).__name__ in names for item in chain)

    if within("ProxyError"):
        return Failed("proxy", "the proxy on the way to %s does not let the request through" % host)
    for item in chain:
        if isinstance(item, ssl.SSLCertVerificationError):
            return Failed(
                "tls",
                "the certificate of %s is not accepted: %s"
                % (host, getattr(item, "verify_message", None) or "invalid"),
            )
    for item in chain:
        if isinstance(item, ssl.SSLError) and not isinstance(item, ssl.SSLEOFError):
            return Failed(
                "tls",
                "TLS with %s fails: %s"
                % (host, getattr(item, "reason", None) or "no common ground"),
            )
        if isinstance(item, socket.gaierror):
            return Failed(
                "dns", "the name %s cannot be resolved: %s" % (host, item.strerror or "no answer")
            )
    if within("NameResolutionError"):
        return Failed("dns", "the name %s cannot be resolved" % host)
    for item in chain:
        if isinstance(item, OSError) and item.errno in _NUMBERS:
            told, sentence = _NUMBERS[item.errno]
            return Failed(told, "%s cannot be reached: %s" % (host, sentence))
    if within("ConnectTimeout", "ConnectTimeoutError"):
        return Failed("timeout", "%s cannot be reached: nothing comes back" % host)
    if within("ReadTimeout", "ReadTimeoutError", "timeout", "TimeoutError"):
        return Failed("hung", "%s accepts the connection and does not answer in time" % host)
    if within("BadStatusLine", "InvalidHeader", "LocationParseError"):
        return Failed("garbage", "what %s sends is no HTTP" % host)
    if within(
        "ConnectionError", "ProtocolError", "IncompleteRead", "ChunkedEncodingError", "SSLEOFError"
    ):
        return Failed("closed", "%s cuts the connection" % host)
    if isinstance(error, OSError) and not chain[1:] and error.errno == errno.ENOENT:
        return Failed("tls", "the file with the authorities to trust does not exist")
    return Failed("garbage", "what %s sends is no HTTP (%s)" % (host, type(error).__name__))


def _chain(error):
    seen = []
    rest = [error]
    while rest:
        item = rest.pop(0)
        if isinstance(item, BaseException) and item not in seen:
            seen.append(item)
            rest += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return seen
