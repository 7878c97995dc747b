# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The calculated settings against pgtune's formulas, written a second time as exact fractions."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import tuning, values
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.tuning import (
    GB,
    MB,
    Machine,
)

MEMORY = {
    "shared_buffers",
    "effective_cache_size",
    "maintenance_work_mem",
    "wal_buffers",
    "work_mem",
    "min_wal_size",
    "max_wal_size",
    "autovacuum_work_mem",
}

# workload: connections, buffers, cache, maintenance, min_wal, max_wal, statistics, divisor, jit
TABLE = {
    "web": (200, "1/4", "3/4", "1/16", 2**20, 2**22, 100, 1, "off"),
    "oltp": (300, "1/4", "3/4", "1/16", 2**21, 2**23, 100, 1, "off"),
    "dw": (40, "1/4", "3/4", "1/8", 2**22, 2**24, 500, 2, None),
    "desktop": (20, "1/16", "1/4", "1/16", 102400, 2**21, 100, 6, None),
    "mixed": (100, "1/4", "3/4", "1/16", 2**20, 2**22, 100, 2, "off"),
}


def by_the_formulas(m):
    """The formulas once more: exact fractions, one dictionary, kB as numbers."""
    conns, buffers, cache, maint, min_wal, max_wal, statistics, divisor, jit = TABLE[m.workload]
    ram = Fraction(m.memory_kb)
    out = {
        "max_connections": m.connections or conns,
        "shared_buffers": math.floor(ram * Fraction(buffers)),
        "effective_cache_size": math.floor(ram * Fraction(cache)),
        "maintenance_work_mem": min(math.floor(ram * Fraction(maint)), 8 * 2**20),
        "min_wal_size": min_wal,
        "max_wal_size": max_wal,
        "default_statistics_target": statistics,
        "checkpoint_completion_target": 0.9,
        "effective_io_concurrency": {"hdd": 2, "ssd": 200, "san": 300, "nvme": 1000}[m.storage],
        "wal_compression": "on" if m.version in (13, 14) else "lz4",
    }
    out["wal_buffers"] = math.floor(Fraction(3, 100) * out["shared_buffers"])
    if out["wal_buffers"] > 16384 or 14336 < out["wal_buffers"] < 16384:
        out["wal_buffers"] = 16384
    if out["wal_buffers"] < 32:
        out["wal_buffers"] = 32
    slots = out["max_connections"] + (m.cpus if m.cpus >= 4 else 8)
    work_mem = math.floor(Fraction(m.memory_kb - out["shared_buffers"], slots * 3) / divisor)
    if m.dataset == "less_ram":
        work_mem = math.floor(work_mem * 1.3)
    if m.dataset == "greater_ram":
        work_mem = math.floor(work_mem * 0.9)
    out["work_mem"] = max(4096, work_mem)
    if m.dataset == "less_ram":
        out["random_page_cost"] = 1.1
    else:
        out["random_page_cost"] = 4 if m.storage == "hdd" or m.workload == "dw" else 1.1
    out["huge_pages"] = "try" if out["shared_buffers"] >= 2097152 else "off"
    if out["maintenance_work_mem"] >= 2097152:
        out["autovacuum_work_mem"] = 2097152
    if m.cpus >= 16:
        out["autovacuum_max_workers"] = 5 if m.cpus >= 32 else 4
    if m.cpus >= 4:
        half = math.ceil(m.cpus / 2)
        out["max_worker_processes"] = out["max_parallel_workers"] = m.cpus
        out["max_parallel_workers_per_gather"] = half if m.workload == "dw" else min(half, 4)
        out["max_parallel_maintenance_workers"] = min(half, 4)
    if jit:
        out["jit"] = jit
    if m.workload == "desktop":
        out["wal_level"], out["max_wal_senders"] = "minimal", 0
    if m.version >= 18:
        out["io_method"] = "io_uring"
    return out


def numbers(settings):
    """Settings as a dictionary, memory in kB, by a reading of the units that is the test's own."""
    sizes = {"GB": 2**20, "MB": 2**10, "kB": 1}
    out = {}
    for setting in settings:
        value = setting.value
        if setting.name in MEMORY:
            value = int(value[:-2]) * sizes[value[-2:]]
        out[setting.name] = value
    assert len(out) == len(settings), "a setting is there twice"
    return out


def machines(count, seed):
    """Machines of every kind: each edge of every formula, and as many random ones as requested."""
    kinds = itertools.product(tuning.WORKLOADS, tuning.STORAGES, tuning.DATASETS, range(13, 19))
    draw = random.Random(seed)
    edges_kb = [
        64 * MB,
        512 * MB,
        2 * GB,
        # wal_buffers around 14 and 16 MB, huge pages from 2 GB of buffers, the caps of 8 GB
        4 * 14336 * 100 // 3,
        4 * 14337 * 100 // 3 + 4,
        4 * 16384 * 100 // 3 - 4,
        4 * 16384 * 100 // 3 + 4,
        8 * GB - 1,
        8 * GB,
        32 * GB - 1,
        32 * GB,
        64 * GB,
        128 * GB + 1,
    ]
    for workload, storage, dataset, version in kinds:
        for memory in edges_kb:
            cpus = draw.choice([1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 33, 128])
            given = draw.choice([None, 1, 20, 5000])
            yield Machine(memory, cpus, storage, workload, dataset, given, version)
    for _ignored in range(count):
        yield Machine(
            int(2 ** draw.uniform(16, 31)),
            draw.randint(1, 256),
            draw.choice(tuning.STORAGES),
            draw.choice(tuning.WORKLOADS),
            draw.choice(tuning.DATASETS),
            draw.choice([None, draw.randint(1, 10000)]),
            draw.randint(13, 18),
        )


def test_every_dedicated_machine_gets_the_formulas_numbers():
    count = 0
    for machine in machines(6000, seed=1):
        assert numbers(tuning.dedicated(machine)) == by_the_formulas(machine), machine
        count += 1
    assert count > 10000


def test_the_published_example_of_a_web_server():
    settings = tuning.dedicated(Machine(16 * GB, 8, "ssd", "web", "mid_ram", None, 14))
    assert {s.name: s.value for s in settings} == {
        "max_connections": 200,
        "shared_buffers": "4GB",
        "effective_cache_size": "12GB",
        "maintenance_work_mem": "1GB",
        "checkpoint_completion_target": 0.9,
        "wal_buffers": "16MB",
        "default_statistics_target": 100,
        "random_page_cost": 1.1,
        "effective_io_concurrency": 200,
        "work_mem": "20164kB",
        "huge_pages": "try",
        "min_wal_size": "1GB",
        "max_wal_size": "4GB",
        "max_worker_processes": 8,
        "max_parallel_workers_per_gather": 4,
        "max_parallel_workers": 8,
        "max_parallel_maintenance_workers": 4,
        "jit": "off",
        "wal_compression": "on",
    }


def test_the_published_example_of_a_data_warehouse():
    settings = tuning.dedicated(Machine(64 * GB, 16, "nvme", "dw", "mid_ram", None, 14))
    assert {s.name: s.value for s in settings} == {
        "max_connections": 40,
        "shared_buffers": "16GB",
        "effective_cache_size": "48GB",
        "maintenance_work_mem": "8GB",
        "checkpoint_completion_target": 0.9,
        "wal_buffers": "16MB",
        "default_statistics_target": 500,
        "random_page_cost": 4,
        "effective_io_concurrency": 1000,
        "work_mem": "149796kB",
        "huge_pages": "try",
        "min_wal_size": "4GB",
        "max_wal_size": "16GB",
        "autovacuum_work_mem": "2GB",
        "autovacuum_max_workers": 4,
        "max_worker_processes": 16,
        "max_parallel_workers_per_gather": 8,
        "max_parallel_workers": 16,
        "max_parallel_maintenance_workers": 4,
        "wal_compression": "on",
    }


def test_every_setting_says_why():
    for setting in tuning.dedicated(Machine(16 * GB, 8, "ssd", "web", "mid_ram")):
        assert len(setting.why) > 10 or setting.name.startswith("max_"), setting
        assert "\n" not in setting.why


def shared_machines(count, seed):
    draw = random.Random(seed)
    for machine in machines(count, seed):
        disk = draw.choice([None, int(2 ** draw.uniform(19, 31))])
        segment = draw.choice([MB, 16 * MB, 16 * MB, 64 * MB, GB])
        yield machine._replace(
            wal_disk_kb=disk, wal_disk_own=draw.random() < 0.5, segment_kb=segment
        )


def test_a_shared_machine_stays_within_its_share_or_says_that_it_does_not():
    kept = broken = 0
    for machine in shared_machines(6000, seed=2):
        settings, uses, warnings = tuning.shared(machine)
        value = numbers(settings)
        used = sum(use.kb for use in uses)
        # What the settings themselves can use, without the lines.
        workers = value.get("max_worker_processes", 8)
        vacuums = value.get("autovacuum_max_workers", 3)
        processes = value["max_connections"] + workers
        from_settings = (
            value["shared_buffers"]
            + value["wal_buffers"]
            + value["maintenance_work_mem"]
            + vacuums * value["autovacuum_work_mem"]
            + processes * (3 * value["work_mem"] + tuning.SESSION_KB)
        )
        assert from_settings == used, machine
        if warnings:
            assert used > machine.memory_kb, machine
            broken += 1
        else:
            assert used <= machine.memory_kb, machine
            kept += 1
    assert kept > 1000
    assert broken > 100


def test_the_number_of_connections_that_is_said_to_fit_does_fit():
    tried = 0
    for machine in shared_machines(3000, seed=3):
        warnings = tuning.shared(machine)[2]
        if not warnings:
            continue
        fit = int(warnings[0].split(" would fit")[0].split()[-1])
        assert fit < (machine.connections or 20)
        if fit:
            assert not tuning.shared(machine._replace(connections=fit))[2], machine
            assert tuning.shared(machine._replace(connections=fit + 1))[2], machine
            tried += 1
    assert tried > 100


def test_connections_that_are_not_given_are_as_many_as_fit():
    fewer = 0
    for machine in shared_machines(3000, seed=6):
        machine = machine._replace(connections=None)
        settings, _uses, warnings = tuning.shared(machine)
        value = numbers(settings)
        usual = TABLE[machine.workload][0]
        assert 20 <= value["max_connections"] <= usual
        if value["max_connections"] < usual:
            fewer += 1
            assert "as many as the memory holds" in settings[0].why
            if value["max_connections"] > 20:
                assert not warnings
                assert (
                    value["work_mem"]
                    >= 4096
                    // {"dw": 2, "desktop": 6, "mixed": 2}.get(machine.workload, 1)
                    * 9
                    // 10
                    - 1
                )
    assert fewer > 100


def test_connections_that_are_there_are_not_taken_away():
    small = Machine(256 * MB, 2, "ssd", "web", "mid_ram")
    assert numbers(tuning.shared(small, 100)[0])["max_connections"] == 100
    assert numbers(tuning.shared(small)[0])["max_connections"] == 20
    large = small._replace(memory_kb=64 * GB)
    assert numbers(tuning.shared(large, 100)[0])["max_connections"] == 200
    assert numbers(tuning.shared(large, 350)[0])["max_connections"] == 350
    assert numbers(tuning.shared(large._replace(connections=50), 350)[0])["max_connections"] == 50


def test_a_shared_machine_never_gets_fewer_workers_than_postgresql_starts_with():
    for machine in shared_machines(500, seed=4):
        value = numbers(tuning.shared(machine)[0])
        assert value.get("max_worker_processes", 8) == max(8, machine.cpus)
        assert value.get("max_parallel_workers", 1) <= value.get("max_worker_processes", 8)


def test_wal_fits_its_disk_and_postgresql_starts_with_it():
    bounded = 0
    for machine in shared_machines(3000, seed=5):
        value = numbers(tuning.shared(machine)[0])
        full = TABLE[machine.workload]
        limit = tuning.wal_limit_kb(machine)
        floor = 2 * machine.segment_kb
        assert value["min_wal_size"] <= value["max_wal_size"]
        if limit is None or limit >= full[5]:
            assert (value["min_wal_size"], value["max_wal_size"]) == full[4:6]
        else:
            bounded += 1
            assert floor <= value["min_wal_size"]
            assert value["max_wal_size"] <= max(limit, floor)
    assert bounded > 300


def test_the_share_of_a_wal_disk():
    machine = Machine(4 * GB, 2, "ssd", "web", "mid_ram", None, 15, 5 * GB)
    assert numbers(tuning.shared(machine)[0])["max_wal_size"] == GB
    own = machine._replace(wal_disk_own=True)
    assert numbers(tuning.shared(own)[0])["max_wal_size"] == 3 * GB
    assert "5GB" in next(s.why for s in tuning.shared(own)[0] if s.name == "max_wal_size")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 12}, "PostgreSQL 12 is not supported: 13"),
        ({"storage": "tape"}, "storage must be one of hdd, ssd, san, nvme, not tape"),
        ({"workload": "games"}, "workload must be one of"),
        ({"dataset": "huge"}, "dataset must be one of"),
        ({"cpus": 0}, "at least 1 CPU"),
        ({"memory_kb": 1000}, "64MB is the least"),
        ({"connections": 300000}, "1 to 262143"),
    ],
)
def test_an_impossible_machine_is_refused_with_the_reason(change, message):
    machine = Machine(16 * GB, 8, "ssd", "web", "mid_ram")._replace(**change)
    for calculate in (tuning.dedicated, tuning.shared):
        with pytest.raises(ValueError, match=message):
            calculate(machine)


def test_memory_is_written_in_the_largest_whole_unit():
    assert [values.memory_text(kb) for kb in (32, 1024, 20164, GB, 3 * GB // 2)] == [
        "32kB",
        "1MB",
        "20164kB",
        "1GB",
        "1536MB",
    ]
