# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory, processor time and control groups: a real container with cgroup v1, one built for v2, and
a machine.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import cpu, memory
from ansible_collections.sergas.ops.plugins.module_utils._host import cgroup, processors
from ansible_collections.sergas.ops.plugins.module_utils._host import memory as host_memory

V1 = str(pathlib.Path(__file__).parents[4] / "fixtures" / "container-v1")
GIB = 1024**3
PERCENT = (80.0, 90.0, "%")


@pytest.fixture
def v2(tmp_path):
    files = {
        "run/.containerenv": "",
        "proc/1/cgroup": "0::/init.scope\n",
        "proc/meminfo": (
            "MemTotal: 8388608 kB\nMemFree: 10 kB\nMemAvailable: 4194304 kB\nSwapTotal: 1048576"
            " kB\nSwapFree: 0 kB\n"
        ),
        "sys/fs/cgroup/memory.max": "1073741824\n",
        "sys/fs/cgroup/memory.current": "536870912\n",
        "sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 268435456\nactive_file 5\n",
        "sys/fs/cgroup/memory.swap.max": "536870912\n",
        "sys/fs/cgroup/memory.swap.current": "134217728\n",
        "sys/fs/cgroup/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


class TestGroups:
    def test_v1(self):
        assert cgroup.contained(V1)
        assert cgroup.memory(V1) == {
            "limit": GIB,
            "used": 171311104 - 14618624 - 18665472,
            "shared": 28758016,
            "swap_limit": None,
            "swap_used": 0,
        }
        assert cgroup.cpu(V1) == {"seconds": 60.405462628, "quota": 1.0}

    def test_v2(self, v2):
        assert cgroup.contained(str(v2))
        assert cgroup.memory(str(v2)) == {
            "limit": GIB,
            "used": GIB // 4 - 5,
            "shared": 0,
            "swap_limit": GIB // 2,
            "swap_used": GIB // 8,
        }
        assert cgroup.cpu(str(v2)) == {"seconds": 2.5, "quota": 1.5}

    def test_without_limits(self, v2):
        for name in ("memory.max", "memory.swap.max"):
            (v2 / "sys/fs/cgroup" / name).write_text("max\n")
        (v2 / "sys/fs/cgroup/cpu.max").write_text("max 100000\n")
        assert cgroup.memory(str(v2))["limit"] is None
        assert cgroup.cpu(str(v2)) == {"seconds": 2.5, "quota": None}

    def test_a_limit_further_down_a_hierarchy_that_is_seen_whole(self, v2):
        base = v2 / "sys/fs/cgroup"
        inner = base / "docker/abc"
        inner.mkdir(parents=True)
        (v2 / "proc/1/cgroup").write_text("0::/docker/abc/init.scope\n")
        for name in ("memory.current", "memory.stat", "memory.max"):
            (inner / name).write_text((base / name).read_text())
        (base / "memory.max").unlink()
        assert cgroup.memory(str(v2))["limit"] == GIB

    def test_no_groups(self, tmp_path):
        assert not cgroup.contained(str(tmp_path))
        assert cgroup.memory(str(tmp_path)) is None
        assert cgroup.cpu(str(tmp_path)) is None

    def test_a_container_by_its_init_s_environment(self, tmp_path):
        (tmp_path / "proc/1").mkdir(parents=True)
        (tmp_path / "proc/1/environ").write_bytes(b"PATH=/bin\0container=lxc\0")
        assert cgroup.contained(str(tmp_path))

    def test_the_unit_of_a_process(self):
        directories = pathlib.Path(V1, "proc").glob("[0-9]*")
        pids = {
            (directory / "comm").read_text().strip(): directory.name for directory in directories
        }
        assert cgroup.unit_of(pids["uvicorn"], V1) == "sergas-app.service"
        assert cgroup.unit_of(pids["redis-server"], V1) == "redis-server.service"
        assert cgroup.unit_of(pids["systemd"], V1) == "init.scope"
        assert cgroup.unit_of(999999, V1) is None


class TestMemory:
    def test_a_container_is_measured_by_its_own_limit(self):
        found = host_memory.measure(V1)
        assert (found["source"], found["total"], found["used"]) == (
            "cgroup",
            GIB,
            156692480 - 18665472,
        )
        item = memory.judge(found, PERCENT)
        assert (item["id"], item["value"]) == ("host.memory.ok", 12.9)

    def test_a_container_of_v2_and_its_swap(self, v2):
        found = host_memory.measure(str(v2))
        assert (found["total"], found["used"]) == (GIB, GIB // 4 - 5)
        assert memory.judge_swap(found, (50.0, 80.0, "%"))["value"] == 25.0

    def test_a_container_without_a_limit_is_measured_by_what_it_uses_of_its_host(self, v2):
        (v2 / "sys/fs/cgroup/memory.max").write_text("max\n")
        found = host_memory.measure(str(v2))
        assert (found["total"], found["used"]) == (8 * GIB, GIB // 4 - 5)

    def test_a_container_whose_group_cannot_be_read_is_unknown(self):
        found = host_memory.weigh({"MemTotal": 8 * GIB, "MemFree": 0}, True, None)
        item = memory.judge(
            dict(found, processes={"units": [], "processes": []}, others=[]), PERCENT
        )
        assert (item["id"], item["status"], item["confidence"]) == (
            "host.memory.unknown",
            "unknown",
            "blind",
        )
        assert memory.judge_swap(found, PERCENT)["status"] == "skipped"

    def test_a_machine(self):
        figures = host_memory.parse_meminfo(pathlib.Path(V1, "proc/meminfo").read_text())
        found = host_memory.weigh(figures, False, None)
        assert found["total"] == 24684092 * 1024
        assert found["used"] == (24684092 - 22628040) * 1024

    @pytest.mark.parametrize(
        ("percent", "status"), [(79.9, "ok"), (80, "warn"), (89.9, "warn"), (90, "fail")]
    )
    def test_thresholds(self, percent, status):
        units = [{"unit": "sergas-app.service", "bytes": GIB}]
        found = {
            "source": "machine",
            "total": 1000 * GIB // 900,
            "used": percent * 10 * GIB // 900,
            "processes": {"units": units, "processes": []},
            "others": [],
        }
        item = memory.judge(found, PERCENT)
        assert item["status"] == status
        assert ("mostly sergas-app.service (1 GiB)" in item["summary"]) is (status != "ok")

    def test_no_swap_is_ok(self):
        item = memory.judge_swap({"swap_total": 0, "swap_used": 0, "processes": {}}, PERCENT)
        assert (item["id"], item["status"]) == ("host.swap.ok", "ok")

    def test_the_largest_by_what_is_their_own(self):
        found = host_memory.largest_processes(V1)
        page = os.sysconf("SC_PAGE_SIZE")
        assert found["units"][0] == {"unit": "sergas-app.service", "bytes": (16825 - 4887) * page}
        assert [item["command"] for item in found["processes"]] == [
            "uvicorn",
            "systemd",
            "redis-server",
        ]

    def test_the_workers_of_a_unit_are_added_up(self, tmp_path):
        for pid, unit, pages in ((10, "app", 50), (11, "app", 40), (12, "db", 60)):
            directory = tmp_path / "proc" / str(pid)
            directory.mkdir(parents=True)
            (directory / "statm").write_text("1000 %d 10 0 0 0 0\n" % (pages + 10))
            (directory / "comm").write_text("python3\n")
            (directory / "cgroup").write_text("0::/system.slice/%s.service\n" % unit)
        names = [item["unit"] for item in host_memory.largest_processes(str(tmp_path))["units"]]
        assert names == ["app.service", "db.service"]


ZFS = """13 1 0x01 147 39984 6230000000 990000000000
name                            type data
c_min                           4    1047040000
size                            4    22000000000
"""


class TestMemoryThatOnlyLooksUsed:
    def test_the_cache_of_zfs_is_available_down_to_its_minimum(self):
        figures = {"MemTotal": 32 * GIB, "MemFree": GIB, "MemAvailable": 2 * GIB}
        cache = host_memory.arc(ZFS)
        assert cache == 22000000000 - 1047040000
        assert host_memory.weigh(figures, False, None)["used"] == 30 * GIB
        assert host_memory.weigh(figures, False, None, cache)["used"] == 30 * GIB - cache
        assert host_memory.arc("") == 0

    def test_reserved_huge_pages_are_not_there_for_others(self):
        text = (
            "MemTotal: 33554432 kB\nMemFree: 1 kB\nMemAvailable: 6291456 kB\n"
            "HugePages_Total: 12288\nHugePages_Free: 288\nHugePages_Rsvd: 88\n"
            "Hugepagesize: 2048 kB\nHugetlb: 25165824 kB\n"
        )
        found = host_memory.weigh(host_memory.parse_meminfo(text), False, None)
        assert (found["total"], found["used"]) == (8 * GIB, 2 * GIB)
        assert found["reserved"] == [
            {"what": "reserved and empty huge pages", "bytes": 200 * 2 * 1024**2}
        ]
        older = host_memory.parse_meminfo(text.replace("Hugetlb: 25165824 kB\n", ""))
        assert host_memory.weigh(older, False, None) == found

    def test_a_hot_cache_of_files_is_no_use_of_a_container_and_a_tmpfs_is(self, v2):
        stat = v2 / "sys/fs/cgroup/memory.stat"
        stat.write_text("anon 1\ninactive_file 0\nactive_file 500000000\nshmem 0\n")
        assert host_memory.measure(str(v2))["used"] == 536870912 - 500000000
        stat.write_text("anon 1\ninactive_file 0\nactive_file 0\nshmem 500000000\n")
        assert host_memory.measure(str(v2))["used"] == 536870912


def full(*units, others=(), used=1000):
    return {
        "source": "machine",
        "total": 1000,
        "used": used,
        "swap_total": 1000,
        "swap_used": 900,
        "processes": {
            "units": [{"unit": name, "bytes": size} for name, size in units],
            "processes": [],
        },
        "others": [{"what": what, "bytes": size} for what, size in others],
    }


@pytest.mark.parametrize(
    ("found", "reason", "named", "remedy"),
    [
        (full(("sergas-app.service", 600)), "unit:sergas-app.service", "mostly sergas-app", True),
        (full(("db.service", 700)), "unit:db.service", "mostly db.service", False),
        (
            full(("sergas-app.service", 49), others=[("/dev/shm (tmpfs)", 740)]),
            "tmpfs:/dev/shm",
            "mostly /dev/shm",
            False,
        ),
        (
            full(("app", 49), others=[("reserved and empty huge pages", 800)]),
            "huge_pages",
            "mostly reserved",
            False,
        ),
        (
            full(("sergas-app.service", 49), ("cron.service", 40)),
            "several",
            "no one holds half of it: sergas-app.service",
            False,
        ),
        (full(("sergas-app.service", 400), ("a", 300)), "several", "no one holds half", True),
        (full(), None, "", False),
    ],
)
def test_what_fills_the_memory_is_named_and_the_app_is_bounded_only_where_it_does(
    found, reason, named, remedy
):
    item = memory.judge(found, PERCENT, "sergas-app.service")
    assert (item["status"], item["reason"]) == ("fail", reason)
    assert named in item["summary"]
    assert (item["remedy"] == "limit_memory") is remedy
    assert (memory.judge_swap(found, PERCENT, "sergas-app.service")["remedy"] is not None) is remedy
    assert item["advice"]


def test_many_small_processes_are_added_up_where_memory_is_short(tmp_path):
    for pid in range(100, 200):
        directory = tmp_path / "proc" / str(pid)
        directory.mkdir(parents=True)
        unit, pages = ("many", 10) if pid < 180 else ("few", 30)
        (directory / "statm").write_text("1000 %d 10 0 0 0 0\n" % (pages + 10))
        (directory / "comm").write_text("python3\n")
        (directory / "cgroup").write_text("0::/system.slice/%s.service\n" % unit)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 100 kB\nMemFree: 9 kB\nMemAvailable: 9 kB\n")
    for bad, first in ((None, "few.service"), (95, "few.service"), (80, "many.service")):
        assert host_memory.measure(str(tmp_path), bad)["processes"]["units"][0]["unit"] == first


@pytest.mark.parametrize(
    ("largest", "remedy"),
    [("sergas-app.service", "limit_memory"), ("postgresql@15-main.service", None)],
)
def test_only_the_app_is_bounded_where_it_holds_the_most(largest, remedy):
    units = [{"unit": largest, "bytes": 900}, {"unit": "other.service", "bytes": 10}]
    found = {
        "source": "machine",
        "total": 1000,
        "used": 950,
        "swap_total": 1000,
        "swap_used": 900,
        "processes": {"units": units, "processes": []},
        "others": [],
    }
    for judge in (memory.judge, memory.judge_swap):
        assert judge(found, PERCENT, "sergas-app.service")["remedy"] == remedy


def ticks(user=0, idle=0, iowait=0, steal=0):
    return {
        "user": user,
        "nice": 0,
        "system": 0,
        "idle": idle,
        "iowait": iowait,
        "irq": 0,
        "softirq": 0,
        "steal": steal,
    }


def machine(clock, own=0.0, **spent):
    return {
        "clock": clock,
        "machine": ticks(**spent),
        "group": None,
        "contained": False,
        "own": own,
    }


def container(clock, seconds, quota=None, own=0.0):
    return {
        "clock": clock,
        "machine": ticks(user=int(clock * 200)),
        "group": {"seconds": seconds, "quota": quota},
        "contained": True,
        "own": own,
    }


class TestCpu:
    def test_a_machine(self):
        found = processors.compare(machine(0), machine(1, user=100, idle=60, iowait=40), cpus=2)
        assert (found["percent"], found["iowait"], found["steal"]) == (50.0, 20.0, 0.0)

    def test_the_diagnosis_does_not_blame_the_host_for_itself(self):
        found = processors.compare(machine(0), machine(1, user=100, idle=100, own=0.5), cpus=2)
        assert found["percent"] == 25.0
        found = processors.compare(container(0, 10.0), container(1, 10.6, own=0.6), cpus=2)
        assert found["percent"] == 0.0

    @pytest.mark.parametrize(
        ("quota", "percent"), [(None, 25.0), (0.5, 100.0), (1.0, 50.0), (8.0, 25.0)]
    )
    def test_a_container_on_a_busy_machine_is_measured_by_its_own_share(self, quota, percent):
        found = processors.compare(container(0, 10.0, quota), container(1, 10.5, quota), cpus=2)
        assert (found["percent"], found["iowait"]) == (percent, None)

    def test_a_container_whose_group_cannot_be_read(self):
        lost = dict(container(1, 0), group=None)
        assert processors.compare(container(0, 0), lost, cpus=2)["percent"] is None

    @pytest.mark.parametrize(("hungry", "percent"), [(0, 10.0), (1, 50.0), (3, 100.0)])
    def test_what_a_container_wants_and_does_not_get_counts_as_used(self, hungry, percent):
        before, after = container(0, 10.0, quota=2.0), container(1, 10.2, quota=2.0)
        assert processors.compare(before, after, cpus=4, hungry=hungry)["percent"] == percent

    def test_the_start_of_the_app_is_no_load(self):
        before, after = container(0, 10.0, quota=1.0), container(1, 10.9, quota=1.0)
        assert processors.compare(before, after, cpus=2, starting=0.8)["percent"] == 10.0

    def test_counters_that_stand_still(self):
        assert processors.compare(machine(0), machine(1), cpus=2)["percent"] is None

    def test_the_first_line_of_proc_stat(self):
        text = "cpu  1 2 3 4 5 6 7 8 9 10\n"
        assert list(processors.parse_stat(text).values()) == [1, 2, 3, 4, 5, 6, 7, 8]

    @pytest.mark.parametrize("contained", [False, True])
    def test_findings(self, contained):
        observed = {
            "busiest": [
                {"pid": 7, "command": "python3", "unit": "sergas-app.service", "percent": 80.0}
            ],
            "disks": [{"device": "sda", "percent": 99.0, "await_ms": 41.5}],
            "contained": contained,
            "cpus": 2,
            "quota": 1.0 if contained else None,
            "percent": 85.0,
            "iowait": 45.0,
            "steal": 0.0,
            "hungry": 0,
            "load": (8.4, 4.0, 2.0),
        }
        ctx = types.SimpleNamespace(
            thresholds=thresholds.merge({}), params={"service": "sergas-app"}
        )
        found = (
            cpu.decide(ctx, observed)
            + cpu.decide_load(ctx, observed)
            + cpu.decide_iowait(ctx, observed)
        )
        expected = (
            [
                ("host.cpu.high", "warn"),
                ("host.load.skipped", "skipped"),
                ("host.iowait.skipped", "skipped"),
            ]
            if contained
            else [
                ("host.cpu.high", "warn"),
                ("host.load.high", "fail"),
                ("host.iowait.high", "fail"),
            ]
        )
        assert [(item["id"], item["status"]) for item in found] == expected
        assert "most by python3 (sergas-app.service, 80 %)" in found[0]["summary"]
        if not contained:
            assert "sda is busy 99 % of the time and takes 41.5 ms" in found[2]["summary"]
            assert found[2]["reason"] == "device:sda"

    @pytest.mark.parametrize(
        ("busiest", "reason", "remedy"),
        [
            ([("python3", "sergas-app.service", 80.0)], "unit:sergas-app.service", True),
            ([("postgres: app prod SELECT", "postgresql@15-main.service", 90.0)], None, False),
            ([("xz", None, 90.0), ("python3", "sergas-app.service", 10.0)], "unit:xz", False),
            (
                [("a", "a.service", 30.0), ("b", "b.service", 30.0), ("c", "c.service", 30.0)],
                "several",
                False,
            ),
            ([], "several", False),
        ],
    )
    def test_what_uses_the_processors_is_named_and_only_the_app_is_tuned(
        self, busiest, reason, remedy
    ):
        ctx = types.SimpleNamespace(
            thresholds=thresholds.merge({}), params={"service": "sergas-app"}
        )
        keys = ("command", "unit", "percent")
        observed = {
            "contained": True,
            "cpus": 1,
            "quota": None,
            "percent": 95.0,
            "steal": None,
            "hungry": 1,
            "busiest": [dict(zip(keys, item), pid=1) for item in busiest],
        }
        (item,) = cpu.decide(ctx, observed)
        assert item["reason"] == (reason or "unit:postgresql@15-main.service")
        assert (item["remedy"] == "tune_concurrency") is remedy

    def test_disks(self):
        text = (
            "   8       0 sda 100 0 8000 50 200 0 9000 150 0 180 200 0 0 0 0 0 0\n"
            "   7       0 loop0 9 0 1 1 9 0 1 1 0 1 2\n   8 short\n"
        )
        assert processors.parse_diskstats(text) == {"sda": (300, 200, 180)}
        before = dict(machine(0), disks={"sda": (300, 200, 180), "sdb": (1, 1, 1)})
        after = dict(
            machine(1), disks={"sda": (310, 700, 1170), "sdb": (1, 1, 1), "sdc": (1, 1, 1)}
        )
        assert processors.busy_disks(before, after) == [
            {"device": "sda", "percent": 99.0, "await_ms": 50.0}
        ]
        stuck = dict(machine(1), disks={"sda": (300, 200, 1180)})
        assert processors.busy_disks(before, stuck)[0]["await_ms"] is None

    def test_this_host_is_measured(self):
        params = {"service": "sergas-app"}
        ctx = types.SimpleNamespace(
            thresholds=thresholds.merge({}), deadline=Deadline(5), params=params
        )
        found = cpu.observe(ctx)
        assert found["cpus"] >= 1
        assert found["percent"] is None or 0 <= found["percent"] <= 100

    def test_a_process_that_never_sleeps_is_seen_for_real(self):
        with subprocess.Popen(
            [sys.executable, "-c", "while True: pass"], start_new_session=True
        ) as hog:
            # On a busy machine it has to wait for a processor as well.
            for _attempt in range(20):
                # Not as a child of the diagnosis, which is left out.
                before = dict(
                    processors.sample(False, True), processes=processors._processes(set())
                )
                time.sleep(0.5)
                after = dict(processors.sample(False, True), processes=processors._processes(set()))
                hungry = processors.sort_out(before, after, "sergas-app.service")[1]
                pids = [item["pid"] for item in processors.busiest(before, after)]
                if hungry and hog.pid in pids:
                    break
            hog.kill()
        assert hungry >= 1 and hog.pid in pids
