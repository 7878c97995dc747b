# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pg_connections does: reports the sessions of a server, or ends some of them."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import options
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    sessions_report,
    termination,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.termination_plan import AGES

#: What the options that are numbers may be: (name, least, most).
RANGES = tuple((name, 0, 10 * 366 * 86400) for name in AGES) + (
    ("sessions.pid", 1, 2147483647),
    ("deadline", 1, 600),
    ("wait", 0, 600),
    ("max_terminations", 1, 262143),
    ("login_port", 1, 65535),
)


def run(params, deadline, check_mode):
    """Return the result of the module, see ``observed`` and ``terminated``; it has failed where a
    session that was to end is still there.
    """
    options.check_ranges(params, RANGES)
    if params["state"] == "observed":
        return sessions_report.observed(params, deadline)
    result = termination.terminated(params, deadline, check_mode)
    if result["spared"].get("hidden"):
        result["warnings"] = [
            "%d sessions may match, but this role may not see what they do: grant it pg_monitor"
            % result["spared"]["hidden"]
        ]
    if result["survived"]:
        pids = ", ".join("%d (%s)" % (item["pid"], item["reason"]) for item in result["survived"])
        result["failed"] = True
        result["msg"] = "%d sessions were to end and did not: %s" % (len(result["survived"]), pids)
    return result
