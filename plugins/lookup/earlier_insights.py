# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""earlier_insights: what the latest report has of the databases, to measure what grew since."""

from __future__ import annotations

DOCUMENTATION = r"""
name: earlier_insights
short_description: Read the sizes of the databases from the latest report
version_added: 1.1.0
description:
  - Reads the C(report.json) of the latest run in a directory of reports, and returns for each host
    with a database what O(sergas.ops.pg_insights#module:previous) takes.
  - Where there is no report yet, or none that can be read, there is nothing earlier, and no error.
options:
  _terms:
    description:
      - The directory of the reports, as O(sergas.ops.fleet_report#module:report_dir). A relative
        one starts where the playbook was started.
    type: list
    elements: str
    required: true
author:
  - Sergas DevOps (@sergas-ops)
seealso:
  - module: sergas.ops.pg_insights
  - module: sergas.ops.fleet_report
"""

EXAMPLES = r"""
- name: Measure what grew since the latest report
  sergas.ops.pg_insights:
    login_db: sergas_prod
    previous: >-
      {{ lookup('sergas.ops.earlier_insights', 'sergas-reports')[inventory_hostname]
         | default({}) }}
  become: true
"""

RETURN = r"""
_list:
  description: For each directory, the sizes of each host's database by the name of the host.
  type: list
  elements: dict
  sample:
    - db1:
        server: {database: sergas_prod, taken_at: 1795600000.0}
        sizes: {databases: [{database: sergas_prod, bytes: 8913927}], tables: []}
"""

import os

from ansible.plugins.lookup import LookupBase

from ansible_collections.sergas.ops.plugins.plugin_utils.report import history

#: The finding with the sizes, and what each of its rows must have.
_SIZES = "db.size.ok"
_ROWS = {"databases": ("bytes",), "tables": ("table_bytes", "index_bytes")}


class LookupModule(LookupBase):
    """Reads reports on the controller."""

    def run(self, terms, variables=None, **kwargs):
        """Return {host: insights} of the latest report in each of the directories."""
        del variables
        self.set_options(direct=kwargs)
        directories = [os.path.abspath(os.path.expanduser(term)) for term in terms]
        return [by_host(history.read_previous(directory)[0]) for directory in directories]


def by_host(report):
    """Return the sizes of databases in a report: {host: insights}.

    Args:
        report: the model of a report, or ``None``.
    """
    found = {}
    for host in (report or {"hosts": ()})["hosts"]:
        for item in host["findings"]:
            insights = _insights(item) if item["id"] == _SIZES else None
            if insights:
                found[host["name"]] = insights
    return found


def _insights(item):
    """Return the sizes in a finding, or ``None`` where they are not complete."""
    evidence = item.get("evidence")
    try:
        for kind, numbers in _ROWS.items():
            for row in evidence[kind]:
                if not all(isinstance(row[name], int) for name in numbers):
                    return None
        return {
            "server": {
                "database": str(evidence["database"]),
                "taken_at": float(evidence["taken_at"]),
            },
            "sizes": {kind: evidence[kind] for kind in _ROWS},
        }
    except (KeyError, TypeError, ValueError):
        return None
