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
            "used": 171311104 - 14618624,
            "swap_limit": None,
            "swap_used": 0,
        }
        assert cgroup.cpu(V1) == {"seconds": 60.405462628, "quota": 1.0}

    def test_v2(self, v2):
        assert cgroup.contained(str(v2))
        assert cgroup.memory(str(v2)) == {
            "limit": GIB,
            "used": GIB // 4,
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
        assert (found["source"], found["total"], found["used"]) == ("cgroup", GIB, 156692480)
        item = memory.judge(found, PERCENT)
        assert (item["id"], item["value"]) == ("host.memory.ok", 14.6)

    def test_a_container_of_v2_and_its_swap(self, v2):
        found = host_memory.measure(str(v2))
        assert (found["total"], found["used"]) == (GIB, GIB // 4)
        assert memory.judge_swap(found, (50.0, 80.0, "%"))["value"] == 25.0

    def test_a_container_without_a_limit_is_measured_by_what_it_uses_of_its_host(self, v2):
        (v2 / "sys/fs/cgroup/memory.max").write_text("max\n")
        found = host_memory.measure(str(v2))
        assert (found["total"], found["used"]) == (8 * GIB, GIB // 4)

    def test_a_container_whose_group_cannot_be_read_is_unknown(self):
        found = host_memory.weigh({"MemTotal": 8 * GIB, "MemFree": 0}, True, None)
        item = memory.judge(dict(found, processes={"units": [], "processes": []}), PERCENT)
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
            "total": 1000,
            "used": percent * 10,
            "processes": {"units": units, "processes": []},
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
        ctx = types.SimpleNamespace(thresholds=thresholds.merge({}))
        observed = {
            "contained": contained,
            "cpus": 2,
            "quota": 1.0 if contained else None,
            "percent": 85.0,
            "iowait": 45.0,
            "steal": 0.0,
            "hungry": 0,
            "load": (8.4, 4.0, 2.0),
        }
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
                if hungry:
                    break
            hog.kill()
        assert hungry >= 1
