# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the server is, and what the role that asks may see there."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.extension_members import member

_FACTS = (
    """
SELECT
  current_user::text AS role,
  current_database()::text AS database,
  r.rolsuper AS superuser,
  pg_is_in_recovery() AS in_recovery,
  pg_has_role(r.oid, 'pg_read_all_stats', 'USAGE') AS sees_sessions,
  pg_has_role(r.oid, 'pg_monitor', 'USAGE') AS monitors,
  pg_has_role(r.oid, 'pg_read_all_settings', 'USAGE') AS sees_settings,
  pg_has_role(r.oid, 'pg_stat_scan_tables', 'USAGE') AS scans_tables,
  coalesce((SELECT pg_has_role(r.oid, a.oid, 'USAGE')
            FROM pg_roles a WHERE a.rolname = 'pg_read_all_data'), r.rolsuper) AS reads_data,
  current_setting('block_size')::int AS block_bytes,
  current_setting('max_connections')::int AS max_connections,
  host(inet_server_addr()) AS address,
  pg_backend_pid() AS backend_pid,
  extract(epoch FROM clock_timestamp())::float8 AS taken_at,
  extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS up_seconds,
  extract(epoch FROM clock_timestamp() - coalesce(
    d.stats_reset, (SELECT b.stats_reset FROM pg_stat_bgwriter b), pg_postmaster_start_time()
  ))::float8 AS statistics_seconds,
  (SELECT m.schema FROM ("""
    + member("pg_stat_statements", "pg_stat_statements")
    + """) m) AS statements_schema,
  (SELECT e.extversion FROM pg_extension e
   WHERE e.extname = 'pg_stat_statements') AS statements_version,
  current_setting('pg_stat_statements.max', true) IS NOT NULL AS statements_loaded,
  (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
   WHERE e.extname = 'pgstattuple') AS pgstattuple_schema
FROM pg_roles r, pg_stat_database d
WHERE r.rolname = current_user AND d.datname = current_database()
"""
)


def observe(scope, version):
    """Return the facts of the server and of the session's role, as a dict.

    Args:
        scope: what asks.
        version: the server's, as a number, for example 150004.
    """
    return dict(scope.row(_FACTS), version=version)
