# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._app import limits
from ansible_collections.sergas.ops.plugins.module_utils._app.limits import MIB, Host, Refused

GIB = 1024 * MIB
#: 4 GiB, of which others use 1 GiB.
HOST = Host(total=4 * GIB, others=GIB)


def test_the_budget_is_what_others_and_the_reserve_leave():
    # A tenth of 4 GiB in reserve, 1 GiB of others; a multiple of 16 MiB.
    assert limits.budget(HOST) == (4096 - 410 - 1024) // 16 * 16 * MIB
    assert limits.budget(Host(GIB // 4, GIB // 4)) == 0


def test_on_a_small_host_the_reserve_is_64_mib():
    assert limits.budget(Host(512 * MIB, 0)) == 448 * MIB


def test_a_limit_that_was_met_is_doubled_within_the_budget():
    assert limits.raised_memory(HOST, 512 * MIB, 512 * MIB) == GIB
    assert limits.raised_memory(HOST, 2 * GIB, 2 * GIB) == limits.budget(HOST)


def test_a_limit_that_is_higher_already_stays():
    assert limits.raised_memory(HOST, 600 * MIB, 512 * MIB) is None


def test_a_limit_that_is_not_the_units_is_not_raised():
    with pytest.raises(Refused, match="a slice or a container"):
        limits.raised_memory(HOST, None, 512 * MIB)


def test_a_host_that_has_no_more_says_so_with_the_figures():
    with pytest.raises(Refused) as error:
        limits.raised_memory(HOST, 3 * GIB, 3 * GIB)
    for figure in ("3 GiB", "4 GiB in all", "others use 1 GiB", "409.6 MiB"):
        assert figure in str(error.value)


def test_a_cap_keeps_the_host_below_80_percent():
    cap = limits.capped_memory(HOST, None, 4)
    # A multiple of an eighth of the host.
    assert cap == 2 * GIB
    assert cap + HOST.others <= HOST.total * 80 // 100 < cap + HOST.others + GIB // 2


def test_a_cap_does_not_follow_each_change_of_what_others_use():
    around = [HOST._replace(others=GIB + change * MIB) for change in (-40, -8, 0, 8, 40)]
    assert len({limits.capped_memory(host, None, 4) for host in around}) == 1


@pytest.mark.parametrize("limit", [GIB, 3 * GIB])
def test_a_unit_that_is_capped_stays_as_it_is(limit):
    busy = HOST._replace(others=2 * GIB)
    assert limits.capped_memory(HOST, limit, 4) is None
    assert limits.capped_memory(busy, limit, 4) is None


def test_a_limit_beyond_the_host_is_no_cap():
    assert limits.capped_memory(HOST, 8 * GIB, 4) == limits.capped_memory(HOST, None, 4)


def test_workers_that_cannot_live_in_what_is_left_are_not_starved():
    full = HOST._replace(others=3 * GIB)
    with pytest.raises(Refused, match="4 workers need 384 MiB"):
        limits.capped_memory(full, None, 4)


def test_what_a_person_requests_has_to_fit_unless_it_is_less_than_now():
    assert limits.given_memory(HOST, 2 * GIB, None) == 2 * GIB
    assert limits.given_memory(HOST, 2 * GIB, 2 * GIB) is None
    with pytest.raises(Refused):
        limits.given_memory(HOST, 4 * GIB, None)
    # Lowering a limit that is too high needs no memory.
    assert limits.given_memory(HOST, 4 * GIB, 8 * GIB) == 4 * GIB


@pytest.mark.parametrize(
    ("limit", "met", "ceiling", "expected"),
    [
        (64, 64, 20000, 8192),
        (4096, 4096, 20000, 16384),
        (8192, 8192, 20000, 20000),
        (8192, 64, 20000, None),
    ],
)
def test_open_files_are_raised_within_what_the_host_allows(limit, met, ceiling, expected):
    assert limits.raised_files(limit, met, ceiling) == expected


def test_open_files_at_the_hosts_limit_are_refused():
    with pytest.raises(Refused, match="20000"):
        limits.raised_files(20000, 20000, 20000)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "/v/bin/uvicorn a:app --workers 4 --port 8000",
            "/v/bin/uvicorn a:app --workers 2 --port 8000",
        ),
        ("/v/bin/gunicorn -w 4", "/v/bin/gunicorn -w 2"),
        ("/v/bin/uvicorn a:app --workers=4", "/v/bin/uvicorn a:app --workers=2"),
        ("/v/bin/uvicorn a:app --workers ${WORKERS}", None),
        ("/v/bin/uvicorn a:app", None),
    ],
)
def test_workers_on_the_command_line(command, expected):
    assert limits.command_with_workers(command, 2) == expected


def test_the_command_is_the_last_one_and_not_our_own():
    text = (
        "# /etc/systemd/system/a.service\n[Service]\nExecStart=/old \\\n  --workers 4\n"
        "# /etc/systemd/system/a.service.d/override.conf\n"
        "[Service]\nExecStart=\nExecStart=/new -w 4\n"
        "# /etc/systemd/system/a.service.d/%s\n[Service]\nExecStart=\nExecStart=/ours -w 2\n"
        % limits.FILE
    )
    assert limits.exec_start(text) == "/new -w 4"
    assert limits.exec_start(text.split("# /etc/systemd/system/a.service.d", 1)[0]) == (
        "/old --workers 4"
    )


def test_a_drop_in_is_read_as_it_is_written():
    settings = {"MemoryMax": "400M", "LimitNOFILE": "8192", "ExecStart": "/v/bin/a --workers 2"}
    text = limits.render(settings)
    assert limits.parse(text) == settings
    assert text.index("ExecStart=\n") < text.index("ExecStart=/v")
    assert limits.render({}) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512M", 512 * MIB), ("2G", 2 * GIB), ("1.5GiB", GIB + GIB // 2), ("1048576", MIB)],
)
def test_amounts_of_memory(text, expected):
    assert limits.size(text) == expected
    assert limits.size(limits.written(expected)) == expected


@pytest.mark.parametrize("text", ["", "lots", "80%", "-1G"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="no amount"):
        limits.size(text)
