# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from ansible_collections.sergas.ops.plugins.module_utils import zoho_client


class ProxyError(OSError):
    pass


class ReadTimeout(OSError):
    pass


class ConnectTimeout(OSError):
    pass


class ProtocolError(Exception):
    pass


def wrapped(error):
    """As requests and urllib3 do it: an error as an argument of one, as the reason of another."""
    outer = OSError(ProtocolError("Connection aborted.", error))
    outer.reason = error
    return outer


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (wrapped(socket.gaierror(-2, "Name or service not known")), "dns"),
        (wrapped(OSError(errno.ECONNREFUSED, "refused")), "refused"),
        (wrapped(OSError(errno.EHOSTUNREACH, "no route")), "unreachable"),
        (wrapped(ssl.SSLCertVerificationError(1, "self-signed certificate")), "tls"),
        (wrapped(ssl.SSLError(1, "WRONG_VERSION_NUMBER")), "tls"),
        (wrapped(ConnectionResetError(errno.ECONNRESET, "reset")), "closed"),
        (ProxyError("Cannot connect to proxy.", OSError(errno.ECONNREFUSED, "refused")), "proxy"),
        (ReadTimeout("read timed out"), "hung"),
        (ConnectTimeout("timed out"), "timeout"),
        (ValueError("Authorization: Zoho-oauthtoken 1000.a.b"), "garbage"),
    ],
)
def test_errors_of_the_library_are_told_apart_without_their_text(error, told):
    failure = zoho_client.explain(error, "accounts.zoho.com")
    assert failure.told == told
    assert "accounts.zoho.com" in str(failure)
    assert "1000.a.b" not in str(failure)
