# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import catalogue
from ansible_collections.sergas.ops.plugins.plugin_utils.report import model, results


class Makers:
    """Makes remedies, findings, reports and what else a plan is made of."""

    @staticmethod
    def document(**changes):
        """Return the metadata of a remedy as its file has it."""
        return {
            "title": "Start Redis",
            "answers": ["redis.unreachable"],
            "changes": ["the unit is started"],
            "impact": "reload",
            "reversible": True,
            "component": "redis",
            "undo": {"none": "It was not up before"},
            "verification": {"part": "health", "checks": ["redis"]},
            **changes,
        }

    def remedies(self, **named):
        """Return a catalogue: {name: changes of its document}."""
        documents = {name: self.document(**changes) for name, changes in named.items()}
        return catalogue.catalogue(documents, set(documents))

    @staticmethod
    def bad(id="redis.unreachable", remedy="start_redis", component="redis", **details):
        """Return a bad finding."""
        status = details.pop("status", "fail")
        summary = details.pop("summary", "%s is bad" % id)
        return finding(id, component, status, summary, remedy=remedy, **details)

    @staticmethod
    def finding(id, status="ok", **details):
        """Return any finding."""
        component = {"db": "database", "lb": "loadbalancer"}.get(id.partition(".")[0])
        return finding(id, component or id.partition(".")[0], status, id, **details)

    @staticmethod
    def good(id="host.disk.ok", component="host"):
        """Return a good finding."""
        return finding(id, component, "ok", "all is well")

    @staticmethod
    def report(hosts):
        """Return the model of a report: {host name: findings}; None is a host that is lost."""
        entries = []
        for name, items in hosts.items():
            lost = {"unreachable": True, "msg": "Connection timed out"}
            result = lost if items is None else {"findings": list(items)}
            entries.append(
                results.host_entry(name, [], [name], {"sergas_diagnose_health": result}, ["x"])
            )
        return model.build(entries, "2026-11-24T18:00:00Z", "1", {}, "never", "Fleet")


@pytest.fixture
def makers():
    return Makers()
