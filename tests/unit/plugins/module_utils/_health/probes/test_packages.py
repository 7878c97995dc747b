# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import packages

HISTORY = """
Start-Date: 2026-11-30  06:30:01
Commandline: /usr/bin/unattended-upgrade
Upgrade: libssl3:amd64 (3.0.1, 3.0.2), openssl:amd64 (3.0.1, 3.0.2)
End-Date: 2026-11-30  06:30:21

Start-Date: 2026-11-30  07:00:00
Commandline: apt-get remove nano
Remove: nano:amd64 (7.2)
End-Date: 2026-11-30  07:00:02

Start-Date: 2026-11-30  08:00:00
Commandline: apt install jq
Install: jq:amd64 (1.6), libjq1:amd64 (1.6, automatic)
"""
BEGIN = datetime.datetime(2026, 11, 30, 6, 30, 1).timestamp()  # as apt writes it


def test_runs_that_changed_packages():
    first, second = packages.runs(HISTORY)
    assert (first["begin"], first["end"]) == (BEGIN, BEGIN + 20)
    assert first["packages"] == ["libssl3", "openssl"]
    assert (second["command"], second["packages"]) == ("apt install jq", ["jq", "libjq1"])
    assert second["end"] == second["begin"]
    assert packages.runs("") == packages.runs("Start-Date: x\nUpgrade: y") == []


@pytest.mark.parametrize(
    ("after", "status"), [(-1, "ok"), (0, "warn"), (20, "warn"), (140, "warn"), (141, "ok")]
)
def test_a_start_during_an_upgrade_or_soon_after_is_by_it(after, status):
    seen = {"runs": packages.runs(HISTORY)[:1], "started": {"sergas-app.service": BEGIN + after}}
    (item,) = packages.decide(None, seen)
    assert item["status"] == status
    if status == "warn":
        assert item["reason"] == "unit:sergas-app.service"
        assert "unattended-upgrade" in item["summary"] and "libssl3" in item["summary"]
