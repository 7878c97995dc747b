# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings: the environment that systemd makes of .env, else .env itself as dotenv reads it."""

from __future__ import annotations

from typing import Optional

from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """Keys of .env that this service uses; a key without a default is required."""

    model_config = {"env_file": ".env", "extra": "ignore"}

    DATABASE_HOST: str
    DATABASE_PORT: int = 5432
    DATABASE_NAME: str
    DATABASE_USER: str
    DATABASE_PASSWORD: str
    DATABASE_POOL_SIZE: int = 5
    DATABASE_MAX_OVERFLOW: int = 5
    DATABASE_TIMEOUT: int = 30
    REDIS_HOST: str
    REDIS_PORT: int = 6379
    REDIS_PASSWORD: Optional[str] = None
    REDIS_DB: int = 0
    REDIS_CACHE_TTL: int = 300
    ENABLE_CACHE: bool = True
    ZOHO_SDK_CLIENT_ID: str
    ZOHO_SDK_CLIENT_SECRET: str
    ZOHO_SDK_REFRESH_TOKEN: str
    ZOHO_ACCOUNTS_URL: str
    ZOHO_API_URL: str
    MAX_RETRY_ATTEMPTS: int = 1
    CIRCUIT_BREAKER_FAILURE_THRESHOLD: int = 5
    CIRCUIT_BREAKER_RECOVERY_TIMEOUT: int = 60
    COGNEE_BASE_URL: str
    COGNEE_API_KEY: str
    LOG_LEVEL: str = "INFO"
    LOG_FORMAT: str = "json"


settings = Settings()
