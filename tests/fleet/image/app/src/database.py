# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool of sessions on PostgreSQL and the queries of the service."""

from __future__ import annotations

from sqlalchemy import URL, create_engine, text

from src.config import settings

engine = create_engine(
    URL.create(
        "postgresql+psycopg2",
        username=settings.DATABASE_USER,
        password=settings.DATABASE_PASSWORD,
        host=settings.DATABASE_HOST,
        port=settings.DATABASE_PORT,
        database=settings.DATABASE_NAME,
    ),
    pool_size=settings.DATABASE_POOL_SIZE,
    max_overflow=settings.DATABASE_MAX_OVERFLOW,
    pool_timeout=settings.DATABASE_TIMEOUT,
    # A session that the server or an operator ended is replaced, not handed to a request.
    pool_pre_ping=True,
    connect_args={
        "application_name": "sergas-app",
        "connect_timeout": 5,
        "options": "-c statement_timeout=%ds" % settings.DATABASE_TIMEOUT,
    },
)


def ping() -> None:
    """Run one statement through the pool; raises SQLAlchemyError."""
    with engine.connect() as session:
        session.execute(text("SELECT 1"))


def accounts(owner_id: int, limit: int) -> list:
    """Return an owner's accounts as dicts."""
    query = text(
        "SELECT id, name, status, owner_id FROM accounts WHERE owner_id = :owner ORDER BY id LIMIT"
        " :limit"
    )
    with engine.connect() as session:
        rows = session.execute(query, {"owner": owner_id, "limit": limit})
        return [dict(row) for row in rows.mappings()]


def record(actor: str, action: str) -> None:
    """Write one row of the audit log."""
    query = text("INSERT INTO audit_logs (actor, action) VALUES (:actor, :action)")
    with engine.begin() as session:
        session.execute(query, {"actor": actor, "action": action})
