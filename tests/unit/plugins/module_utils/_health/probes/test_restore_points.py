# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import restore_points


def pending(name="set_variables", run="r1", outcome=None):
    point = {
        "run": run,
        "armed_at": "2026-03-01T12:00:00Z",
        "due": "2026-03-01T12:05:00Z",
        "files": [{"path": "/opt/app/.env"}],
    }
    return {"name": name, "point": point, "outcome": outcome}


ENTRY = {
    "remedy": "set_variables",
    "run": "r1",
    "before": [{"id": "app.env.missing"}],
    "findings": ["app.env.missing", "app.service.down"],
    "known": ["app.env.missing", "app.service.down", "host.disk.high"],
}


def decide(*points, lease=None, entries=()):
    seen = {"points": list(points), "lease": lease, "entries": list(entries)}
    return restore_points.decide(None, seen)


def test_nothing_armed_is_ok():
    (found,) = decide()
    assert (found["id"], found["status"]) == ("host.restore_point.ok", "ok")


def test_what_a_dead_run_has_armed_fails_and_is_resolved():
    (found,) = decide(pending(), entries=[dict(ENTRY, run="r0"), ENTRY])
    assert (found["id"], found["status"]) == ("host.restore_point.armed", "fail")
    assert found["remedy"] == "resolve_restore_points"
    for word in ("set_variables", "run r1, which is gone", "2026-03-01T12:05:00Z"):
        assert word in found["summary"]
    (point,) = found["evidence"]["points"]
    assert point["remedy"] and not point["at_work"]
    assert point["findings"] == ["app.env.missing"]
    assert "host.disk.high" in point["known"]


def test_what_a_run_at_work_has_armed_is_a_warning():
    (found,) = decide(pending(), lease={"run": "r1"})
    assert found["status"] == "warn" and "holds the lock" in found["summary"]
    (found,) = decide(pending(), pending("firewall", "r2"), lease={"run": "r1"})
    assert found["status"] == "fail" and "firewall" in found["summary"]
    assert [point["remedy"] for point in found["evidence"]["points"]] == [False, False]


def test_what_could_not_be_restored_fails():
    broken = {"complete": False, "errors": ["/opt/app/.env: No space left on device"]}
    (found,) = decide(pending(outcome=broken))
    assert (found["id"], found["status"]) == ("host.restore_point.failed", "fail")
    assert "No space left" in found["summary"]
    assert found["remedy"] == "resolve_restore_points"
