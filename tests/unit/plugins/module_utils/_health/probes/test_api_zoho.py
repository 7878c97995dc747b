# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import api


@pytest.mark.parametrize(
    ("line", "error_kind", "remedy"),
    [
        ("zoho refused a token: invalid_code", "refresh_token", "zoho_credentials"),
        ("zoho refused a token: invalid_client", "client", "zoho_credentials"),
        ("zoho refused a token: invalid_client_secret", "client_secret", "zoho_credentials"),
        ("zoho: invalid_currency", None, "zoho_refresh"),
        (None, None, "zoho_refresh"),
    ],
)
def test_the_log_tells_what_zoho_refuses(line, error_kind, remedy):
    reply = {"status": 503, "body": '{"status":"degraded","zoho":"unauthenticated"}'}
    reply.update(seconds=0.01, truncated=False, redirects=[], location=None, phases={})
    health = {"url": "http://127.0.0.1:8000/health", "samples": [reply]}
    found = {item["id"]: item for item in api.judge(health, {}, line and {"sample": line})}
    item = found["zoho.token.invalid"]
    assert (item["evidence"].get("error_kind"), item["remedy"]) == (error_kind, remedy)
