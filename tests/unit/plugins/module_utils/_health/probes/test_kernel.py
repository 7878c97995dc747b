# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import kernel

UNIT = {"ExecStart": "{ path=/opt/app/venv/bin/uvicorn ; argv[]=/opt/app/venv/bin/uvicorn x ; }"}
CTX = types.SimpleNamespace(params={"service": "sergas-app"}, unit=UNIT, app_dir="/opt/app")
NEWS = {"count": 3, "last": 1733000000.0, "line": "what the kernel wrote"}
STUCK = {"pid": 9, "command": "uvicorn", "unit": "sergas-app.service", "waits_in": "rpc_wait"}
DENIED = {"by": "apparmor", "comm": "uvicorn", "operation": "open", "name": "/x", "count": 2}


def observed(lines=None, denied=(), stuck=(), **more):
    seen = {"lines": lines or {}, "denied": list(denied), "stuck": list(stuck), "contained": False}
    return dict(seen, **more)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (observed(), [("host.kernel.ok", None)]),
        (observed(contained=True), [("host.kernel.ok", None)]),
        (observed(contained=True, kept=False), [("host.kernel.skipped", None)]),
        (observed({"device": {"sda": NEWS}}), [("host.device.errors", "device:sda")]),
        (observed({"filesystem": {"dm-0": NEWS}}), [("host.filesystem.errors", "filesystem:dm-0")]),
        (
            observed(stuck=[dict(STUCK, mount={"path": "/mnt/x", "server": "nas:/x"})]),
            [("host.mount.hung", "mount:/mnt/x")],
        ),
        # It waits for a local disk: no mount is to blame.
        (observed(stuck=[dict(STUCK, mount=None)]), [("host.kernel.ok", None)]),
        (observed({"mount": {"nas": NEWS}}), [("host.mount.hung", "server:nas")]),
        (observed(denied=[dict(DENIED, last=1733000000.0)]), [("app.denied", "apparmor")]),
        (
            observed(denied=[{"by": "seccomp", "comm": "x", "exe": "/opt/app/venv/bin/python3.11",
                              "syscall": "41", "count": 1, "last": 1.0}]),
            [("app.denied", "seccomp")],
        ),
        (observed(denied=[dict(DENIED, comm="ntpd", last=1.0)]), [("host.kernel.ok", None)]),
        (
            observed({"tasks": {"/system.slice/sergas-app.service": NEWS}}),
            [("app.tasks.refused", None)],
        ),
        (observed({"tasks": {"/system.slice/other.service": NEWS}}), [("host.kernel.ok", None)]),
        (observed({"conntrack": {"nf_conntrack": NEWS}}), [("host.conntrack.dropped", None)]),
        (observed({"hung": {"xz": NEWS}, "syn": {"x": NEWS}}), [("host.kernel.ok", None)]),
    ],
)  # fmt: skip
def test_findings(seen, expected):
    found = kernel.decide(CTX, seen)
    assert [(item["id"], item["reason"]) for item in found] == expected
    assert all(item["advice"] for item in found if item["status"] in ("warn", "fail"))


def test_what_happened_in_the_log_has_a_time_so_that_a_fixed_fault_is_over():
    (item,) = kernel.decide(CTX, observed({"device": {"sda": NEWS}}))
    assert item["evidence"]["last_seen"] == "2024-11-30T20:53:20Z"


@pytest.mark.parametrize(
    ("kept", "contained", "gaps"),
    [(True, False, []), (False, False, ["source"]), (False, True, []), (True, True, [])],
)
def test_a_journal_without_the_kernels_lines_is_no_evidence(monkeypatch, kept, contained, gaps):
    monkeypatch.setattr(kernel.stuck, "observe", lambda deadline: [])
    monkeypatch.setattr(kernel.kernel_log, "read", lambda since, deadline: ({}, True))
    monkeypatch.setattr(kernel.kernel_log, "is_kept", lambda deadline: kept)
    monkeypatch.setattr(kernel.cgroup, "contained", lambda: contained)
    ctx = types.SimpleNamespace(deadline=Deadline(5), now=1e9, params={"window": 60})
    assert list(kernel.observe(ctx).gaps) == gaps
