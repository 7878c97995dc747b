# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.plugins.loader import lookup_loader

from ansible_collections.sergas.ops.plugins.lookup import earlier_insights
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import storage

DATABASES = [{"database": "sergas_prod", "bytes": 1000}]
TABLES = [{"schema": "public", "table": "a", "table_bytes": 600, "index_bytes": 200, "bytes": 800}]
EVIDENCE = {
    "database": "sergas_prod",
    "taken_at": 1000.0,
    "databases": DATABASES,
    "tables": TABLES,
}


def report(evidence, id="db.size.ok"):
    item = {"id": id, "status": "ok", "summary": "sizes", "evidence": evidence}
    return {
        "schema_version": "2.0",
        "generated_at": "2026-11-24T10:00:00Z",
        "fleet": [],
        "hosts": [
            {"name": "db1", "findings": [item]},
            {"name": "app1", "findings": []},
        ],
    }


def test_what_it_gives_is_what_growth_takes():
    earlier = earlier_insights.by_host(report(EVIDENCE))
    assert list(earlier) == ["db1"]
    assert earlier["db1"]["server"] == {"database": "sergas_prod", "taken_at": 1000.0}
    now = {
        "databases": [{"database": "sergas_prod", "bytes": 3000}],
        "tables": [{"schema": "public", "table": "a", "table_bytes": 700, "index_bytes": 200}],
    }
    grown = storage.growth(now, earlier["db1"]["sizes"], 86400)
    assert grown["databases"][0]["bytes_per_day"] == 2000
    assert grown["tables"][0]["grown_bytes"] == 100


@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"left_out": "17000 bytes, more than a report takes"},
        dict(EVIDENCE, taken_at=None),
        dict(EVIDENCE, tables=[{"schema": "public", "table": "a"}]),
        dict(EVIDENCE, databases=[{"database": "sergas_prod", "bytes": "many"}]),
        dict(EVIDENCE, databases=None),
        None,
    ],
)
def test_what_is_not_all_there_is_nothing_earlier(evidence):
    assert earlier_insights.by_host(report(evidence)) == {}


def test_the_latest_report_of_a_directory_counts(tmp_path):
    # As Ansible makes it: the oldest ansible-core gives a plugin its name then.
    lookup = lookup_loader.get("sergas.ops.earlier_insights")
    assert lookup.run([str(tmp_path / "none")]) == [{}]
    for name, taken_at in (("2026-11-24T100000Z", 1.0), ("2026-11-24T110000Z", 2.0)):
        (tmp_path / name).mkdir()
        text = json.dumps(report(dict(EVIDENCE, taken_at=taken_at)))
        (tmp_path / name / "report.json").write_text(text)
    assert lookup.run([str(tmp_path)])[0]["db1"]["server"]["taken_at"] == 2.0
    (tmp_path / name / "report.json").write_text("half a rep")
    assert lookup.run([str(tmp_path)]) == [{}]
