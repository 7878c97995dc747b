# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The credentials of one client, chosen as a set, never mixed, and Zoho's endpoints (pure)."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._core.zoho_data_centres import (
    DATA_CENTRES,
    region_name,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import url

PAIRS = ("auto", "sdk", "mcp")
_CLIENT = {
    kind: ["ZOHO_%s_CLIENT_ID" % kind, "ZOHO_%s_CLIENT_SECRET" % kind] for kind in ("SDK", "MCP")
}
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|::1)\Z")
#: what guides and samples have instead of a value
_PLACEHOLDER = re.compile(
    r"<.*>|\[.*\]|x{3,}|your[-_ ].*|change[-_ ]?me.*|todo|\.\.\.|none|null", re.I
)


class Unusable(OperationError):
    """The configuration gives no credentials, or no endpoints to use them at.

    Attributes:
        error_kind: ``credentials``, ``mixed``, ``placeholder``, ``region``, ``url`` or
            ``plaintext``.
        names: the variables or options to correct.
    """

    def __init__(self, error_kind, message, names=()):
        super().__init__(message)
        self.error_kind = error_kind
        self.names = list(names)


class Credentials(NamedTuple):
    """What a request for a token has. All of it belongs to one client."""

    client_id: str
    client_secret: str
    refresh_token: str
    #: where it is from: ``options``, ``sdk`` or ``mcp``
    source: str

    def __repr__(self):
        return "Credentials(source=%r)" % self.source

    def fingerprint(self, accounts_url):
        """Return a digest of these credentials at this data centre, which does not reveal them."""
        return digest(
            "\n".join((accounts_url, self.client_id, self.client_secret, self.refresh_token))
        )


class Endpoints(NamedTuple):
    """Zoho's servers."""

    #: a key of DATA_CENTRES, or None for an accounts server that is not Zoho's
    data_centre: Optional[str]
    accounts_url: str
    api_url: str
    #: whether the API's address is configured, so that the one in a reply does not count
    api_given: bool

    def target(self):
        """Return host:port of the accounts server."""
        return _target(self.accounts_url)

    def api_target(self):
        """Return host:port of the API."""
        return _target(self.api_url)


def digest(text):
    """Return 16 hexadecimal digits of a secret's SHA-256, to compare it by and to show."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def choose(settings, given, pair="auto"):
    """Return the ``Credentials`` to use.

    A refresh token belongs to the client that made it, so the three are taken together: the
    options, or ZOHO_SDK_CLIENT_ID and ZOHO_SDK_CLIENT_SECRET, or where neither of the two is set
    the pair ZOHO_MCP_*. The MCP pair has a dedicated refresh token (ZOHO_MCP_REFRESH_TOKEN), or
    that of the guide, ZOHO_SDK_REFRESH_TOKEN.

    Args:
        settings: {name: value} the app runs with.
        given: {client_id, client_secret, refresh_token} of the options, each may be None.
        pair: which pair of the settings to use, one of PAIRS.

    Raises:
        Unusable: something is missing, half a pair is set, or a value is a placeholder.
    """
    names = ("client_id", "client_secret", "refresh_token")
    if any(given.get(name) for name in names):
        missing = [name for name in names if not given.get(name)]
        if missing:
            raise Unusable(
                "mixed",
                "%s must be given with the others of its client" % ", ".join(missing),
                missing,
            )
        return Credentials(*(_real(name, given[name]) for name in names), source="options")

    def value(name):
        return (settings.get(name) or "").strip()

    wanted = variables(settings, pair)
    own, refresh = wanted[:2], wanted[2]
    kind = "SDK" if own == _CLIENT["SDK"] else "MCP"
    if refresh == "ZOHO_MCP_REFRESH_TOKEN" and not value(refresh):
        raise Unusable(
            "mixed",
            "ZOHO_SDK_REFRESH_TOKEN belongs to ZOHO_SDK_CLIENT_ID, and ZOHO_MCP_REFRESH_TOKEN is"
            " not set",
            [refresh],
        )
    missing = [name for name in wanted if not value(name)]
    if len(missing) == 1 and missing[0] in own:
        present = own[1 - own.index(missing[0])]
        raise Unusable(
            "mixed", "%s is set and %s is not: half a pair" % (present, missing[0]), missing
        )
    if missing:
        if kind == "MCP" and pair == "auto" and missing[:2] == own:
            missing = _CLIENT["SDK"] + missing[2:]
        raise Unusable(
            "credentials",
            "%s not set" % (" and ".join(missing) + (" are" if missing[1:] else " is")),
            missing,
        )
    return Credentials(*(_real(name, value(name)) for name in wanted), source=kind.lower())


def variables(settings, pair="auto"):
    """Return the names of the three variables that the app's credentials are in, or belong in.

    Args:
        settings: {name: value} the app runs with.
        pair: one of PAIRS.
    """

    def is_set(name):
        return bool((settings.get(name) or "").strip())

    kind = pair.upper()
    if pair == "auto":
        kind = "SDK" if any(map(is_set, _CLIENT["SDK"])) else "MCP"
    refresh = "ZOHO_%s_REFRESH_TOKEN" % kind
    if kind == "MCP" and not is_set(refresh):
        # Where the SDK has a client, too, its refresh token is that client's.
        if pair == "auto" or not all(map(is_set, _CLIENT["SDK"])):
            refresh = "ZOHO_SDK_REFRESH_TOKEN"
    return [*_CLIENT[kind], refresh]


def _real(name, value):
    value = value.strip()
    if _PLACEHOLDER.fullmatch(value):
        raise Unusable("placeholder", "%s has a placeholder instead of a value" % name, [name])
    if re.search(r"\s", value):
        raise Unusable(
            "placeholder", "%s has white space within, so it is no value of Zoho's" % name, [name]
        )
    return value


def endpoints(settings, given):
    """Return the ``Endpoints``.

    Args:
        settings: {name: value} the app runs with: ZOHO_ACCOUNTS_URL, ZOHO_API_URL, ZOHO_SDK_REGION.
        given: {accounts_url, api_url, data_centre} of the options, which take precedence; each may
            be None.

    Raises:
        Unusable: a URL is invalid or would send secrets in the clear, or the region does not exist.
    """
    region = given.get("data_centre")
    accounts = given.get("accounts_url")
    if not accounts and not region:
        accounts = settings.get("ZOHO_ACCOUNTS_URL")
        region = settings.get("ZOHO_SDK_REGION") or settings.get("ZOHO_REGION")
    api = given.get("api_url") or (
        None if given.get("data_centre") else settings.get("ZOHO_API_URL")
    )
    if accounts:
        accounts = _origin(accounts, "the accounts server")
        host = url.split(accounts).host
        name = next((name for name, hosts in DATA_CENTRES.items() if hosts[0] == host), None)
    else:
        name = _data_centre(region or "us")
        accounts = "https://" + DATA_CENTRES[name][0]
    if api:
        return Endpoints(name, accounts, _origin(api, "the API"), True)
    if name is None:
        # A server that simulates Zoho: it has the API beside its accounts.
        return Endpoints(None, accounts, accounts, True)
    return Endpoints(name, accounts, "https://" + DATA_CENTRES[name][1], False)


def _data_centre(text):
    name = region_name(text)
    if name is None:
        raise Unusable(
            "region",
            "there is no data centre %r: %s" % (text, ", ".join(DATA_CENTRES)),
            ["ZOHO_SDK_REGION"],
        )
    return name


def trusted_api(domain):
    """Return the URL of an API that a reply named, or None where no token may be sent there."""
    try:
        parts = url.split(domain or "")
    except ValueError:
        return None
    tails = [hosts[1][len("www") :] for hosts in DATA_CENTRES.values()]
    if parts.scheme == "https" and parts.port in (None, 443):
        prefix, dot, tail = parts.host.partition(".")
        if prefix in ("www", "sandbox", "developer") and dot + tail in tails:
            return "https://" + parts.host
    return None


def _origin(text, what):
    try:
        parts = url.split(text.strip())
    except ValueError as error:
        raise Unusable("url", "the URL of %s: %s" % (what, error))
    if parts.scheme not in ("https", "http") or not parts.host:
        raise Unusable("url", "the URL of %s must begin with https://" % what)
    if parts.scheme == "http" and not _LOOPBACK.match(parts.host):
        raise Unusable(
            "plaintext",
            "the URL of %s has no TLS: secrets would cross the network in the clear" % what,
        )
    host = "[%s]" % parts.host if ":" in parts.host else parts.host
    return "%s://%s%s" % (parts.scheme, host, ":%d" % parts.port if parts.port else "")


def _target(origin):
    parts = url.split(origin)
    return url.address(parts.host, parts.port or (443 if parts.scheme == "https" else 80))
