# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service's Prometheus series."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("sergas_http_requests", "Requests answered", ["method", "path", "status"])
DURATION = Histogram("sergas_http_request_duration_seconds", "Time to answer", ["path"])
ZOHO_CALLS = Counter("sergas_zoho_api_calls", "Calls of Zoho's API", ["outcome"])
POOL = Gauge("sergas_database_pool_checked_out", "Sessions in use by requests")
