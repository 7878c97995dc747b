# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The diagnosis of what protects a host: which checks there are, and their result."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, diagnosis, options
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad, roots
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact_all

RANGES = (("deadline", 1, 600),)


def run(params, *tables):
    """Return the result of the module ``security_check``.

    Args:
        params: its options.
        tables: modules with ``PROBES`` and ``CHECKS``, in the order of the report.

    Raises:
        InvalidValue: an option that cannot be; the message names it, its value and what is allowed.
    """
    for name in params["protected"]:
        addresses.option_or_name("protected", name)
    options.check_ranges(params, RANGES)
    checks, probes = {}, {}
    for table in tables:
        checks.update(table.CHECKS)
        probes.update(table.PROBES)
    names = options.select(list(checks), params["checks"], params["skip"])
    context = diagnosis.Context(params, Deadline(params["deadline"]))
    found, observations = diagnosis.run(names, checks, probes, context)
    findings = redact_all([item for _name, items in found for item in items])
    return {
        "changed": False,
        "findings": findings,
        "checked": {name: len(items) for name, items in found},
        "roots": [item["id"] for item in roots(findings)],
        "bad": sum(1 for item in findings if is_bad(item)),
        "probe_seconds": {name: one.seconds for name, one in observations.items()},
    }
