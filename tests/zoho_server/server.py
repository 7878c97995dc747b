# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Zoho of one's own: the accounts servers and the CRM APIs of all data centres on one port,
quirks included.

It answers plain HTTP, TLS, and CONNECT as a proxy does: with HTTPS_PROXY set to it, a client that
talks to https://accounts.zoho.eu talks to this server, its certificate and its data centre, under
the real names.
"""

from __future__ import annotations

import json
import secrets
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

HOSTS = {
    "us": ("accounts.zoho.com", "www.zohoapis.com"),
    "eu": ("accounts.zoho.eu", "www.zohoapis.eu"),
    "in": ("accounts.zoho.in", "www.zohoapis.in"),
    "au": ("accounts.zoho.com.au", "www.zohoapis.com.au"),
    "jp": ("accounts.zoho.jp", "www.zohoapis.jp"),
    "cn": ("accounts.zoho.com.cn", "www.zohoapis.com.cn"),
    "ca": ("accounts.zohocloud.ca", "www.zohoapis.ca"),
    "sa": ("accounts.zoho.sa", "www.zohoapis.sa"),
    "uk": ("accounts.zoho.uk", "www.zohoapis.uk"),
}
#: the same refusal as accounts of three languages get it
THROTTLED = (
    "You have made too many requests continuously. Please try again after some time.",
    "Sie haben zu viele Anfragen hintereinander gestellt. Bitte versuchen Sie es später erneut.",
    "リクエストが多すぎます。しばらくしてからもう一度お試しください。",
)
PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Access restricted</title></head><body>Please log"
    b" in.</body></html>\n"
)
SCOPE = "ZohoCRM.modules.ALL ZohoCRM.users.READ ZohoCRM.org.READ"
ACTIVE_TOKENS = 15
REFRESH_TOKENS = 20


def make_token():
    return f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"


@dataclass
class App:
    """A client of Zoho's API console."""

    id: str
    secret: str
    data_centres: tuple


@dataclass
class Grant:
    """A refresh token, and the access tokens that were issued for it, oldest first."""

    app: App
    scope: str = SCOPE
    issued: list = field(default_factory=list)
    window_start: float = 0.0
    in_window: int = 0


class Zoho:
    """What Zoho knows, how it behaves, and which requests it got.

    Args:
        limit, window: how many access tokens a refresh token gives within how many seconds.
        lifetime: of an access token, in seconds.
        language: which text a throttled request gets.
    """

    def __init__(self, limit=10, window=600.0, lifetime=3600, language=0):
        self.limit, self.window, self.lifetime, self.language = limit, window, lifetime, language
        self.lock = threading.Lock()
        self.apps, self.grants, self.tokens = {}, {}, {}
        self.requests = []
        self.manners = {}
        self.milliseconds = False
        self.api_domain = True
        self.credits = 5000

    def register(self, *data_centres, id=None):
        """Return a new app that is known in these data centres (us, if none is named)."""
        app = App(
            id or f"1000.{secrets.token_hex(15).upper()}",
            secrets.token_hex(21),
            data_centres or ("us",),
        )
        self.apps[app.id] = app
        return app

    def refresh_token(self, app, scope=SCOPE):
        """Return a new refresh token of an app; the 21st kills the oldest."""
        of_app = [token for token, grant in self.grants.items() if grant.app is app]
        if len(of_app) >= REFRESH_TOKENS:
            del self.grants[of_app[0]]
        token = make_token()
        self.grants[token] = Grant(app, scope)
        return token

    def behave(self, what, how, times=None, app=None):
        """Answer requests for token, revoke, check or connect in this manner, so many times
        (None: until the next call), to one app only if it is named.
        """
        self.manners[what, app and app.id] = [how, times]

    def behave_well(self):
        self.manners.clear()

    def manner(self, what, client_id=None):
        with self.lock:
            key = (what, client_id) if (what, client_id) in self.manners else (what, None)
            how, times = self.manners.get(key, (None, None))
            if times == 0:
                return None
            if times is not None:
                self.manners[key][1] = times - 1
            return how

    def client_of(self, form, authorization):
        """Return the id of the client that a request is of, or None."""
        if "client_id" in form:
            return form["client_id"]
        token = (authorization or "").rpartition(" ")[2]
        return next((g.app.id for g in self.grants.values() if token in g.issued), None)

    def count(self, what):
        """Return how many requests there were for token, revoke, check or connect."""
        return sum(request[0] == what for request in self.requests)

    def is_active(self, token):
        return self.tokens.get(token, 0) > time.monotonic()

    def grant_of(self, token):
        return next(grant for grant in self.grants.values() if token in grant.issued)

    def issue(self, form, data_centre):
        """Return (status, reply) for the form of a refresh."""
        app = self.apps.get(form.get("client_id"))
        if app is None or data_centre not in app.data_centres:
            return 200, {"error": "invalid_client"}
        if form.get("client_secret") != app.secret:
            return 200, {"error": "invalid_client_secret"}
        grant = self.grants.get(form.get("refresh_token"))
        if grant is None or grant.app is not app:
            return 200, {"error": "invalid_code"}
        now = time.monotonic()
        with self.lock:
            if now - grant.window_start >= self.window:
                grant.window_start, grant.in_window = now, 0
            if grant.in_window >= self.limit:
                return 400, self.denial()
            grant.in_window += 1
            token = make_token()
            self.tokens[token] = now + self.lifetime
            grant.issued = [old for old in grant.issued if self.is_active(old)]
            for old in grant.issued[: max(0, len(grant.issued) + 1 - ACTIVE_TOKENS)]:
                self.tokens[old] = 0
            grant.issued.append(token)
        reply = {"access_token": token, "scope": grant.scope, "token_type": "Bearer"}
        if self.api_domain:
            reply["api_domain"] = f"https://{HOSTS[data_centre][1]}"
        if self.milliseconds:
            reply.update(expires_in_sec=self.lifetime, expires_in=self.lifetime * 1000)
        else:
            reply["expires_in"] = self.lifetime
        return 200, reply

    def denial(self):
        return {
            "error": "Access Denied",
            "error_description": THROTTLED[self.language],
            "status": "failure",
        }

    def revoke(self, token):
        """Return (status, reply) for a token that shall be dead."""
        if token in self.grants:
            for access in self.grants.pop(token).issued:
                self.tokens[access] = 0
        elif self.is_active(token):
            self.tokens[token] = 0
        else:
            return 400, {"error": "invalid_token"}
        return 200, {"status": "success"}

    def users(self, authorization):
        """Return (status, reply) for a call of the API."""
        scheme, _space, token = (authorization or "").partition(" ")
        if scheme != "Zoho-oauthtoken" or not token:
            return 401, api_error("AUTHENTICATION_FAILURE", "Authentication failed", [])
        if not self.is_active(token):
            return 401, api_error("INVALID_TOKEN", "invalid oauth token")
        if "ZohoCRM.users." not in self.grant_of(token).scope:
            return 401, api_error("OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")
        user = {
            "id": "4150868000000225013",
            "email": "ops@example.com",
            "full_name": "Ops",
            "status": "active",
        }
        return 200, {
            "users": [user],
            "info": {"per_page": 200, "count": 1, "page": 1, "more_records": False},
        }


def api_error(code, message, details=None):
    return {
        "code": code,
        "details": {} if details is None else details,
        "message": message,
        "status": "error",
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def setup(self):
        self.raw = self.request
        # The first byte of TLS is that of a handshake; no HTTP method begins with it.
        if self.request.recv(1, socket.MSG_PEEK) == b"\x16":
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def log_message(self, format, *args):
        """Say nothing."""

    def do_CONNECT(self):
        zoho = self.server.zoho
        zoho.requests.append(("connect", self.path, {}, {}))
        how = zoho.manner("connect")
        if how:
            self.close_connection = True
            status = {"denied": 403, "login": 407}.get(how, 502)
            return self.send(status, PAGE, "text/html")
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()
        # The tunnel stays, though a client may have requested it in HTTP/1.0.
        self.close_connection = False
        return None

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        zoho = self.server.zoho
        url = urlsplit(self.path)
        what = {
            "/oauth/v2/token": "token",
            "/oauth/v2/token/revoke": "revoke",
            "/crm/v8/users": "check",
        }.get(url.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        zoho.requests.append((what, self.path, dict(self.headers), form))
        how = zoho.manner(what, zoho.client_of(form, self.headers.get("Authorization")))
        if how and self.misbehave(how):
            return
        if what == "token":
            self.send(*zoho.issue(form, self.data_centre()))
        elif what == "revoke":
            self.send(*zoho.revoke(form.get("token")))
        elif what == "check":
            zoho.credits -= 1
            limits = {"X-API-CREDITS-REMAINING": str(zoho.credits)} if zoho.credits < 2500 else {}
            self.send(*zoho.users(self.headers.get("Authorization")), headers=limits)
        else:
            self.send(404, PAGE, "text/html")

    def data_centre(self):
        host = self.headers.get("Host", "").partition(":")[0]
        return next((name for name, hosts in HOSTS.items() if host in hosts), "us")

    def misbehave(self, how):
        """Answer in a manner; return whether that was the answer."""
        zoho = self.server.zoho
        replies = {
            "page": (200, PAGE, "text/html"),
            "bad_gateway": (502, PAGE, "text/html"),
            "garbage": (200, b"\xff\xfe\x00 \x80 not JSON", "application/json"),
            "list": (200, b"[]", "application/json"),
            "empty": (200, b"", "application/json"),
            "error_500": (500, api_error("INTERNAL_ERROR", "Internal Server Error"), None),
            "unknown_error": (200, {"error": "general_error"}, None),
            "throttled": (400, zoho.denial(), None),
            "throttled_200": (200, zoho.denial(), None),
            "limit": (429, api_error("TOO_MANY_REQUESTS", "too many requests"), None),
            "login": (401, api_error("AUTHENTICATION_FAILURE", "Authentication failed", []), None),
        }
        if how in replies:
            status, body, kind = replies[how]
            self.send(status, body, kind)
        elif how == "redirect":
            self.send(302, b"", "text/html", {"Location": "https://portal.example.com/login"})
        elif how == "cut":
            self.close_connection = True
            self.raw.shutdown(socket.SHUT_RDWR)
        elif how == "cut_within":
            self.close_connection = True
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:"
                b' 500\r\n\r\n{"access'
            )
            self.wfile.flush()
            self.raw.shutdown(socket.SHUT_RDWR)
        elif how == "no_http":
            self.close_connection = True
            self.wfile.write(b"220 mail.example.com ESMTP\r\n")
        elif how == "drip":
            self.close_connection = True
            for byte in b"HTTP/1.1 200 OK\r\nX-Padding: " + b"." * 600:
                if self.server.stopping.wait(0.1):
                    break
                try:
                    self.wfile.write(bytes([byte]))
                except OSError:
                    break
        elif isinstance(how, (int, float)):
            # slow, and then well
            self.server.stopping.wait(how)
            return False
        else:
            raise ValueError(how)
        return True

    def send(self, status, body, kind=None, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind or "application/json;charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # the client has gone


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves one Zoho until it is closed, by default on a free port of the loopback interface."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, zoho, directory, port=0, address="127.0.0.1"):
        super().__init__((address, port), Handler)
        self.zoho = zoho
        self.stopping = threading.Event()
        self.port = self.server_address[1]
        self.url = f"https://{address}:{self.port}"
        #: for HTTP_PROXY and HTTPS_PROXY
        self.proxy = f"http://{address}:{self.port}"
        self.certificate = make_certificate(Path(directory), address)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, Path(directory) / "key.pem")
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that refuses the certificate, or has been killed, is no error of this server."""

    def close(self):
        self.stopping.set()
        self.shutdown()
        self.server_close()


def make_certificate(directory, address="127.0.0.1"):
    """Make a key and a certificate for every name of Zoho's in a directory; the certificate is its
    own authority.
    """
    names = [f"DNS:{host}" for hosts in HOSTS.values() for host in hosts] + [
        "DNS:localhost",
        f"IP:{address}",
    ]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += [
        "-days",
        "2",
        "-subj",
        "/CN=a Zoho of one's own",
        "-addext",
        "subjectAltName=" + ",".join(names),
    ]
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    command += ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return directory / "cert.pem"
