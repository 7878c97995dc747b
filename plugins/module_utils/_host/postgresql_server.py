# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why the PostgreSQL of this host does not serve: its readers, and what they come to."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._host import (
    cluster_managers,
    pgbouncer,
    postgresql_clusters,
    postgresql_reasons,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp


def explain(host, port, kind, deadline):
    """Return the ``postgresql_reasons.Reason`` for a connection that failed, or None where the
    server is another host's, or nothing here explains it.

    Args:
        host: a name, an address, or the directory of a socket.
        port: of the server.
        kind: of the failure.
        deadline: of it all.
    """
    is_socket = host.startswith("/")
    if not is_socket and not tcp.is_own(host, deadline.within(1)):
        return None
    pooler = None if is_socket else pgbouncer.read(port, deadline)
    clusters = postgresql_clusters.read(deadline)
    for cluster in clusters if kind == "slots" else ():
        if cluster["running"] and cluster["running"]["port"] == port:
            cluster["backends"] = postgresql_clusters.backends(cluster["running"]["pid"])
            cluster["most"] = postgresql_clusters.most_connections(cluster)
    reason = postgresql_reasons.of_server(kind, port, not is_socket, clusters, pooler)
    manager = cluster_managers.read().get("database") if reason and reason.can_start else None
    if manager:
        advice = "%s owns it, and starts it or not: %s." % (manager["name"], manager["command"])
        return reason._replace(advice=advice)
    return reason
