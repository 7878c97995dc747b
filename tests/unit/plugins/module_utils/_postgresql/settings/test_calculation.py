# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import hardware
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    budget,
    tenants,
    tuning,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    calculation as calculations,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import plan as plans
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.tuning import GB, MB

NO_TENANTS = budget.Tenants()


def params(**changes):
    values = {
        "memory": None,
        "cpus": None,
        "storage": None,
        "workload": "web",
        "dataset": "mid_ram",
        "connections": None,
        "shared_host": None,
        "tenants": None,
        "wal_disk_size": None,
        "env_file": "/nonexistent",
        "version": None,
    }
    return {**values, **changes}


@pytest.fixture
def found(monkeypatch):
    """Return a function that says what is discovered here."""

    def here(tenants=NO_TENANTS, **changes):
        machine = hardware.Hardware(
            16 * GB,
            None,
            8,
            "ssd",
            500 * GB,
            False,
            dict.fromkeys(("memory", "cpus", "storage"), "seen"),
        )
        monkeypatch.setattr(hardware, "discover", lambda *unused: machine._replace(**changes))
        monkeypatch.setattr(calculations, "discover_tenants", lambda *unused: (tenants, {}))

    return here


def values(calculation):
    return {setting.name: setting.value for setting in calculation.settings}


def test_a_dedicated_machine_is_found_out(found):
    found()
    calculation = calculations.calculate(params(), None, {}, None)
    assert not calculation.shared
    assert calculation.budget == []
    assert values(calculation)["shared_buffers"] == "4GB"
    assert calculation.machine["version"] == 17
    assert calculation.machine["evidence"]["memory"] == "seen"


def test_a_shared_machine_is_found_out(found):
    found(budget.Tenants(app_workers=4, redis_kb=GB))
    calculation = calculations.calculate(params(), None, {}, None)
    assert calculation.shared
    assert sum(line["kb"] for line in calculation.budget) == 16 * GB
    assert {line["consumer"] for line in calculation.budget} >= {
        "postgresql",
        "reserve",
        "app",
        "redis",
    }
    assert calculation.budget[0]["memory"].endswith(("MB", "GB"))
    assert calculations.calculate(params(shared_host=False), None, {}, None).budget == []


def test_what_is_given_counts_more_than_what_is_found(found):
    found(budget.Tenants(app_workers=4))
    calculation = calculations.calculate(
        params(
            memory="8GB",
            cpus=2,
            storage="hdd",
            tenants={"app_workers": 2, "app_worker_memory": "1GB", "redis_maxmemory": "0"},
        ),
        None,
        {},
        None,
    )
    lines = {line["consumer"]: line["kb"] for line in calculation.budget}
    assert (lines["app"], lines["redis"]) == (2 * GB, 8 * GB // 10)
    assert calculation.machine["memory_kb"] == 8 * GB
    assert values(calculation)["random_page_cost"] == 4
    assert calculation.machine["evidence"]["cpus"] == "given"


def test_a_limit_of_the_server_s_own_group_counts_either_way(found):
    found(service_limit_kb=2 * GB)
    assert values(calculations.calculate(params(), None, {}, 1))["shared_buffers"] == "512MB"
    calculation = calculations.calculate(params(shared_host=True), None, {}, 1)
    assert calculation.budget[0]["kb"] == 2 * GB
    # Who gives the memory means it.
    assert (
        values(calculations.calculate(params(memory="16GB"), None, {}, 1))["shared_buffers"]
        == "4GB"
    )


def test_the_server_s_segment_and_connections_count(found):
    found(wal_disk_kb=2 * GB)
    control = {"max_connections setting": "350", "Bytes per WAL segment": str(256 << 20)}
    shared = values(calculations.calculate(params(shared_host=True), None, control, None))
    assert shared["max_connections"] == 350
    assert (shared["min_wal_size"], shared["max_wal_size"]) == ("512MB", "512MB")
    given = values(
        calculations.calculate(params(shared_host=True, connections=50), None, control, None)
    )
    assert given["max_connections"] == 50
    own = calculations.calculate(params(shared_host=False), None, control, None)
    assert values(own)["max_wal_size"] == "4GB"
    assert "max_wal_size 4GB is more than" in own.warnings[0]


def test_a_given_wal_disk_bounds_the_wal(found):
    found()
    calculation = calculations.calculate(
        params(shared_host=True, wal_disk_size="5GB"), None, {}, None
    )
    assert values(calculation)["max_wal_size"] == "3GB"


def test_what_a_build_does_not_have_is_left_out():
    settings = [
        tuning.Setting("wal_compression", "lz4", "why"),
        tuning.Setting("io_method", "io_uring", "why"),
        tuning.Setting("jit", "off", "why"),
    ]
    assert calculations.for_this_server(settings, lambda values: [], True) == (
        settings,
        [],
    )
    found, warnings = calculations.for_this_server(settings, lambda values: ["no"], True)
    assert [setting.value for setting in found] == ["on", "worker", "off"]
    assert "io_uring" in warnings[0]
    assert calculations.for_this_server(settings, lambda values: [], False)[0][1].value == "worker"


def test_what_is_given_comes_on_top_of_what_is_calculated():
    calculated = [
        tuning.Setting("work_mem", "4MB", "usual"),
        tuning.Setting("jit", "off", "usual"),
    ]
    wanted = plans.wanted_settings(
        calculated,
        {"Work_Mem": "8MB", "jit": None, "log_connections": True, "search_path": ["a", "b"]},
    )
    assert {name: (want.value, want.exact) for name, want in wanted.items()} == {
        "work_mem": ("8MB", True),
        "log_connections": ("on", True),
        "search_path": ("a, b", True),
    }
    for name, value in (("config_file", "/x"), ("data_directory", "/x"), ("work_mem", {"a": 1})):
        with pytest.raises(plans.SettingsError, match=name):
            plans.wanted_settings([], {name: value})


@pytest.mark.parametrize(
    ("text", "kilobytes"),
    [
        ("maxmemory 256mb\n", 256 * MB),
        ("# maxmemory 1gb\n", 0),
        ("maxmemory 0\n", 0),
        ("maxmemory 1gb\nmaxmemory 2g\n", 2 * 10**9 // 1024),
        ("  MAXMEMORY 1048576\nmaxmemory-policy allkeys-lru\n", 1024),
        ("", 0),
    ],
)
def test_redis_maxmemory(text, kilobytes):
    assert tenants.redis_maxmemory_kb(text) == kilobytes


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, {"app_workers": 4}),
        ({"WORKERS": "8  # cores"}, {"app_workers": 8}),
        ({"CELERY_WORKER_CONCURRENCY": "2"}, {"app_workers": 4, "celery_workers": 2}),
        ({"COGNEE_BASE_URL": "http://localhost:8001"}, {"app_workers": 4, "cognee_kb": GB}),
        ({"COGNEE_API_URL": "http://127.0.0.1:8001/api"}, {"app_workers": 4, "cognee_kb": GB}),
        ({"COGNEE_BASE_URL": "https://cognee.example.org"}, {"app_workers": 4}),
    ],
)
def test_the_app_s_env_says_who_lives_here(values, fields):
    assert tenants.from_environment(values) == fields


@pytest.mark.parametrize(
    ("command", "tenant"),
    [
        ("/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main", "postgresql"),
        ("postgres: 15/main: checkpointer", "postgresql"),
        ("/usr/bin/redis-server 127.0.0.1:6379", "redis"),
        ("/opt/venv/bin/python /opt/venv/bin/uvicorn src.main:app --workers 4", "app"),
        ("/opt/venv/bin/python -m celery -A src.tasks worker", "celery"),
        ("python -m cognee.api.client", "cognee"),
        ("/usr/sbin/sshd -D", "other"),
    ],
)
def test_whose_process_it_is(command, tenant):
    assert tenants.tenant_of(command) == tenant


def test_the_others_are_counted_beyond_the_reserve_and_in_steps():
    memory = 16 * GB
    assert tenants.other_step_kb(GB, memory) is None
    assert tenants.other_step_kb(2 * GB, memory) == 2 * GB
    assert tenants.other_step_kb(3 * GB, memory) == 2 * GB
    assert tenants.other_step_kb(5 * GB, memory) == 4 * GB
