# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The external services the agents speak to: Zoho CRM and Cognee."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Optional

from src.cache import cache
from src.config import settings
from src.logs import log
from src.metrics import ZOHO_CALLS

# Zoho's tokens live 3600 s; the service keeps one for less, so that it never uses a dead one.
TOKEN_TTL_S = 3000
TIMEOUT_S = 5


class ServiceError(Exception):
    """An external service refused, failed or did not answer."""


class Breaker:
    """Stop calling a service that keeps failing, until a recovery time is over."""

    def __init__(self, threshold: int, recovery_s: float) -> None:
        self.threshold = threshold
        self.recovery_s = recovery_s
        self.failures = 0
        self.opened_at = 0.0

    def check(self) -> None:
        """Raise ServiceError while the circuit is open."""
        if self.failures >= self.threshold:
            left = self.opened_at + self.recovery_s - time.monotonic()
            if left > 0:
                raise ServiceError("zoho circuit breaker is open for another %d s" % left)

    def failed(self) -> None:
        """Count a failure; at the threshold the circuit opens."""
        self.failures += 1
        if self.failures >= self.threshold:
            self.opened_at = time.monotonic()
            log.error("zoho circuit breaker open", failures=self.failures)

    def succeeded(self) -> None:
        """Close the circuit."""
        self.failures = 0


breaker = Breaker(
    settings.CIRCUIT_BREAKER_FAILURE_THRESHOLD, settings.CIRCUIT_BREAKER_RECOVERY_TIMEOUT
)


def _call(url: str, headers: dict, body: Optional[bytes] = None) -> dict:
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        if error.code == 429:
            raise ServiceError("rate limit exceeded: HTTP 429 from %s" % url.split("?")[0])
        raise ServiceError("HTTP %d from %s" % (error.code, url.split("?")[0]))
    except (OSError, ValueError) as error:
        raise ServiceError("%s: %s" % (url.split("?")[0], error))


def zoho_token() -> str:
    """Return a cached token, or a fresh one that is then cached; raises ServiceError."""
    token = cache.get("zoho:access_token")
    if token:
        return token
    form = urllib.parse.urlencode(
        {
            "refresh_token": settings.ZOHO_SDK_REFRESH_TOKEN,
            "client_id": settings.ZOHO_SDK_CLIENT_ID,
            "client_secret": settings.ZOHO_SDK_CLIENT_SECRET,
            "grant_type": "refresh_token",
        }
    ).encode()
    reply = _call(settings.ZOHO_ACCOUNTS_URL + "/oauth/v2/token", {}, form)
    if "access_token" not in reply:
        raise ServiceError("zoho refused a token: %s" % reply.get("error", "no reason given"))
    cache.set("zoho:access_token", reply["access_token"], TOKEN_TTL_S)
    return reply["access_token"]


def zoho(path: str) -> dict:
    """Call Zoho CRM behind the circuit breaker; raises ServiceError."""
    breaker.check()
    for attempt in range(settings.MAX_RETRY_ATTEMPTS):
        try:
            headers = {"Authorization": "Zoho-oauthtoken " + zoho_token()}
            reply = _call(settings.ZOHO_API_URL + path, headers)
        except ServiceError as error:
            ZOHO_CALLS.labels(outcome="failed").inc()
            if attempt + 1 == settings.MAX_RETRY_ATTEMPTS:
                breaker.failed()
                raise
            log.warning("zoho call failed, trying again", error=str(error), attempt=attempt + 1)
        else:
            ZOHO_CALLS.labels(outcome="ok").inc()
            breaker.succeeded()
            return reply
    raise ServiceError("MAX_RETRY_ATTEMPTS allows no call")


def cognee_health() -> None:
    """Check whether Cognee is healthy; raises ServiceError."""
    reply = _call(settings.COGNEE_BASE_URL + "/health", {})
    if reply.get("health") != "healthy":
        raise ServiceError("cognee is not healthy")
