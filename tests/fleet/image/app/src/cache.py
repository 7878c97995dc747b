# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis as the service uses it: tokens and cached replies."""

from __future__ import annotations

import redis

from src.config import settings


class Cache:
    """Strings with a time to live."""

    def __init__(self) -> None:
        self.server = redis.Redis(
            host=settings.REDIS_HOST,
            port=settings.REDIS_PORT,
            password=settings.REDIS_PASSWORD,
            db=settings.REDIS_DB,
            socket_timeout=3,
            socket_connect_timeout=3,
            decode_responses=True,
        )

    def ping(self) -> None:
        """Raise redis.RedisError when the server does not answer."""
        self.server.ping()

    def get(self, name: str):
        """Return the value, or None where there is none or Redis does not answer."""
        try:
            return self.server.get(name)
        except redis.RedisError:
            return None

    def set(self, name: str, value: str, ttl_s: int) -> None:
        """Keep a value for a while; a Redis that refuses costs speed, not the request."""
        try:
            self.server.set(name, value, ex=ttl_s)
        except redis.RedisError:
            pass


cache = Cache()
