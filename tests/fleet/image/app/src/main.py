# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The account API: uvicorn src.main:app."""

from __future__ import annotations

import contextlib
import datetime
import hmac
import json
import os
import time

import redis
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from src import agents, database, logs
from src.cache import cache
from src.config import settings
from src.logs import log
from src.metrics import DURATION, POOL, REQUESTS

VERSION = "1.0.0"
logs.configure(settings.LOG_FORMAT, settings.LOG_LEVEL)


class Credentials(BaseModel):
    """What a login sends."""

    username: str
    password: str


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI):
    """Refuse to start without a database: a half-started service hides the reason."""
    database.ping()
    log.info("started", version=VERSION)
    yield
    database.engine.dispose()


app = FastAPI(title="Sergas Super Account Manager", version=VERSION, lifespan=lifespan)


@app.middleware("http")
async def observe(request: Request, call_next):
    """Log and count every request of the API."""
    started = time.perf_counter()
    status = 500
    try:
        response = await call_next(request)
        status = response.status_code
        return response
    finally:
        seconds = time.perf_counter() - started
        route = request.scope.get("route")
        path = route.path if route else "unmatched"
        REQUESTS.labels(method=request.method, path=path, status=status).inc()
        DURATION.labels(path=path).observe(seconds)
        if request.url.path.startswith("/api/"):
            write = log.error if status >= 500 else log.info
            write(
                "request",
                path=request.url.path,
                duration="%.3f" % seconds,
                status_code=status,
                remote_ip=request.client.host,
            )


def _failed(request: Request, event: str, error: Exception, status: int) -> JSONResponse:
    reason = str(error).splitlines()[0]
    log.error(event, error=reason, path=request.url.path, remote_ip=request.client.host)
    return JSONResponse({"detail": event}, status_code=status)


@app.exception_handler(SQLAlchemyError)
def database_failed(request: Request, error: SQLAlchemyError):
    """A database that fails is the server's fault, said without a traceback."""
    return _failed(request, "database_request_failed", error, 500)


@app.exception_handler(agents.ServiceError)
def service_failed(request: Request, error: agents.ServiceError):
    """An external service that fails makes the reply a bad gateway."""
    return _failed(request, "zoho_request_failed", error, 502)


def _state(check, good: str, bad: str) -> str:
    try:
        check()
    except (SQLAlchemyError, redis.RedisError, agents.ServiceError):
        return bad
    return good


@app.get("/health")
def health():
    """Answer for the service and everything it depends on: 503 when one of them is missing."""
    parts = {
        "database": _state(database.ping, "connected", "disconnected"),
        "redis": _state(cache.ping, "connected", "disconnected"),
        "zoho": _state(agents.zoho_token, "authenticated", "unauthenticated"),
        "cognee": _state(agents.cognee_health, "connected", "disconnected"),
    }
    healthy = not {"disconnected", "unauthenticated"} & set(parts.values())
    reply = {
        "status": "healthy" if healthy else "degraded",
        "version": VERSION,
        "timestamp": datetime.datetime.now(datetime.timezone.utc).isoformat(),
    }
    reply.update(parts)
    return JSONResponse(reply, status_code=200 if healthy else 503)


@app.get("/metrics")
def metrics():
    """Prometheus series of this worker."""
    POOL.set(database.engine.pool.checkedout())
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@app.get("/api/v1/accounts")
def accounts(owner_id: int = 1, limit: int = 50):
    """The accounts of one owner, from the cache where it has them."""
    key = "accounts:%d:%d" % (owner_id, limit)
    cached = cache.get(key) if settings.ENABLE_CACHE else None
    if cached:
        return json.loads(cached)
    rows = database.accounts(owner_id, limit)
    if settings.ENABLE_CACHE:
        cache.set(key, json.dumps(rows), settings.REDIS_CACHE_TTL)
    return rows


@app.post("/api/v1/accounts/sync")
def sync():
    """Request the current user from Zoho, as each synchronisation begins."""
    return agents.zoho("/crm/v8/users?type=CurrentUser")


@app.post("/api/v1/login")
def login(credentials: Credentials, request: Request):
    """Check the operator's password; every failure is logged with the caller's address."""
    expected = os.environ.get("OPERATOR_PASSWORD", "")
    given = credentials.password
    if credentials.username == "operator" and expected and hmac.compare_digest(given, expected):
        database.record(credentials.username, "login")
        return {"authenticated": True}
    log.warning(
        "authentication failed",
        user=credentials.username,
        path=request.url.path,
        remote_ip=request.client.host,
    )
    return JSONResponse({"detail": "authentication failed"}, status_code=401)
