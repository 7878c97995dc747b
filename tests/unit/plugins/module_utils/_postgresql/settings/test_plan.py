# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is decided for a server: from its files and its live state, without either."""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import conf
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    plan as plans,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.plan import (
    Live,
    Wanted,
)

MAIN = "/etc/pg/postgresql.conf"
AUTO = "/var/lib/pg/postgresql.auto.conf"
OURS = "/etc/pg/conf.d/90-sergas.conf"
INCLUDING = "max_connections = 100\ninclude_dir = 'conf.d'\n"


def row(name, setting, context="user", vartype="integer", **more):
    fields = {
        "name": name,
        "setting": setting,
        "shown": setting,
        "context": context,
        "vartype": vartype,
        "unit": None,
        "enumvals": None,
        "boot_val": setting,
        "source": "default",
        "sourcefile": None,
        "pending_restart": False,
    }
    return {**fields, **more}


def rows(**changes):
    found = {
        "max_connections": row(
            "max_connections",
            "100",
            "postmaster",
            source="configuration file",
            sourcefile=MAIN,
            boot_val="100",
        ),
        "shared_buffers": row("shared_buffers", "16384", "postmaster", unit="8kB"),
        "work_mem": row("work_mem", "4096", unit="kB"),
        "jit": row("jit", "on", vartype="bool"),
    }
    for name, change in changes.items():
        found[name] = {**found[name], **change}
    return found


def plan(wanted, files=None, live=None, tolerance=0.05):
    files = {MAIN: INCLUDING, **(files or {})}

    def names(directory):
        found = [path[len(directory) + 1 :] for path in files if path.startswith(directory + "/")]
        return [name for name in found if "/" not in name] or None

    wanted = {
        name: want if isinstance(want, Wanted) else Wanted(want, "for a test", False)
        for name, want in wanted.items()
    }
    return plans.make(
        OURS, MAIN, AUTO, wanted, [], live or Live(rows()), files.get, names, tolerance
    )


def owned(**values):
    return {OURS: conf.render(values, {}, [])}


def test_a_new_value_is_written_and_needs_what_its_context_says():
    made = plan({"work_mem": "8MB", "max_connections": "200"})
    assert conf.settings(made.after) == {"work_mem": "8MB", "max_connections": "200"}
    assert {change["name"]: change["takes"] for change in made.changes} == {
        "work_mem": "reload",
        "max_connections": "restart",
    }
    assert made.reload
    assert made.restart == made.pending == ["max_connections"]
    assert made.expected == {"work_mem": "8MB"}
    assert made.main_after == made.main_before


def test_what_is_there_already_needs_no_file():
    made = plan(
        {"work_mem": "4MB", "max_connections": "100", "shared_buffers": "128MB", "jit": "true"}
    )
    assert (made.after, made.changes, made.reload, made.restart) == (None, [], False, [])


def test_the_tolerance_is_for_what_is_calculated():
    assert plan({"work_mem": "4200kB"}).after is None
    assert plan({"work_mem": Wanted("4200kB", "as given", True)}).target == {"work_mem": "4200kB"}
    assert plan({"work_mem": "4400kB"}).target == {"work_mem": "4400kB"}


def test_a_value_of_the_file_stays_within_the_tolerance_and_the_file_with_it():
    live = Live(
        rows(work_mem={"setting": "8192", "source": "configuration file", "sourcefile": OURS})
    )
    text = owned(work_mem="8MB")
    made = plan({"work_mem": "8300kB"}, text, live)
    assert made.after == made.before == text[OURS]
    assert not made.reload


@pytest.mark.parametrize(
    "addition", ["garbage here too\n", "work_mem = 8MB\n", "include 'other.conf'\n"]
)
def test_what_others_added_to_the_file_goes(addition):
    text = owned(work_mem="8MB")[OURS]
    made = plan({"work_mem": "8MB"}, {OURS: text + addition, "/etc/pg/conf.d/other.conf": ""})
    assert made.before != made.after
    assert conf.settings(made.after) == {"work_mem": "8MB"}
    assert "include" not in made.after
    assert "garbage" not in made.after
    assert made.reload
    assert plan({"work_mem": "8MB"}, {OURS: text + "# a remark\n"}).after == text + "# a remark\n"


def test_one_change_keeps_the_others_as_they_are():
    live = Live(
        rows(
            work_mem={"setting": "8192", "source": "configuration file", "sourcefile": OURS},
            jit={"setting": "off", "source": "configuration file", "sourcefile": OURS},
        )
    )
    made = plan({"work_mem": "8300kB", "jit": "on"}, owned(work_mem="8MB", jit="off"), live)
    assert made.target == {"work_mem": "8MB", "jit": "on"}
    assert [change["name"] for change in made.changes] == ["jit"]


def test_killed_after_the_write_it_is_reloaded():
    made = plan(
        {"work_mem": "8MB", "max_connections": "200"}, owned(work_mem="8MB", max_connections="200")
    )
    assert made.after == made.before
    assert made.changes == []
    assert made.reload
    assert made.restart == ["max_connections"]


def test_killed_after_the_reload_it_is_only_restarted():
    live = Live(
        rows(
            max_connections={"pending_restart": True},
            work_mem={"setting": "8192", "source": "configuration file", "sourcefile": OURS},
        )
    )
    made = plan(
        {"work_mem": "8MB", "max_connections": "200"},
        owned(work_mem="8MB", max_connections="200"),
        live,
    )
    assert not made.reload
    assert made.restart == ["max_connections"]


def test_killed_after_the_removal_it_is_reloaded_and_restarted():
    live = Live(
        rows(
            max_connections={"setting": "200", "sourcefile": OURS},
            work_mem={
                "setting": "8192",
                "boot_val": "4096",
                "source": "configuration file",
                "sourcefile": OURS,
            },
        )
    )
    made = plan({}, live=live)
    assert made.before is made.after is None
    assert made.reload
    assert made.restart == ["max_connections"]
    assert made.expected == {"work_mem": None}


def test_a_line_that_is_gone_from_the_disk_is_not_what_is_there():
    live = Live(
        rows(
            work_mem={
                "setting": "8192",
                "boot_val": "4096",
                "source": "configuration file",
                "sourcefile": OURS,
            }
        )
    )
    assert plan({"work_mem": "8MB"}, live=live).target == {"work_mem": "8MB"}


def test_a_removed_line_of_a_restart_setting_waits_for_one():
    live = Live(
        rows(
            shared_buffers={
                "setting": "32768",
                "boot_val": "16384",
                "source": "configuration file",
                "sourcefile": OURS,
            }
        )
    )
    made = plan({}, owned(shared_buffers="256MB"), live)
    assert made.after is None
    assert made.restart == ["shared_buffers"]


def test_a_value_set_back_waits_for_nothing():
    live = Live(rows(max_connections={"pending_restart": True}))
    made = plan({"work_mem": "8MB"}, owned(max_connections="200", work_mem="8MB"), live)
    assert made.target == {"work_mem": "8MB"}
    assert made.reload
    assert made.restart == made.pending == []


def test_what_others_wait_for_is_named_and_not_restarted_for():
    live = Live(rows(shared_buffers={"pending_restart": True}))
    made = plan({"work_mem": "8MB"}, live=live)
    assert made.restart == []
    assert made.pending == ["shared_buffers"]


@pytest.mark.parametrize(
    ("files", "by"),
    [
        ({AUTO: "# x\nwork_mem = '9MB'\n"}, AUTO + " line 2"),
        (
            {"/etc/pg/conf.d/95-later.conf": "work_mem = 9MB\n"},
            "/etc/pg/conf.d/95-later.conf line 1",
        ),
        ({MAIN: INCLUDING + "work_mem = 9MB\n"}, MAIN + " line 3"),
    ],
)
def test_what_comes_later_is_named_and_believed(files, by):
    live = Live(rows(work_mem={"setting": "9216", "source": "configuration file"}))
    made = plan({"work_mem": "8MB"}, {**files, **owned(work_mem="8MB")}, live)
    assert made.overridden == [{"name": "work_mem", "value": "8MB", "effective": "9MB", "by": by}]
    assert not made.reload


def test_what_comes_later_with_the_same_value_is_no_override():
    live = Live(rows(work_mem={"setting": "8192"}))
    assert (
        plan(
            {"work_mem": "8MB"}, {AUTO: "work_mem = 8192\n", **owned(work_mem="8MB")}, live
        ).overridden
        == []
    )


def test_a_command_line_beats_every_file():
    live = Live(rows(max_connections={"source": "command line"}))
    made = plan({"max_connections": "200"}, live=live)
    assert made.overridden[0]["by"] == "the server's command line"
    assert made.restart == []
    again = plan({"max_connections": "200"}, owned(max_connections="200"), live)
    assert not again.reload


@pytest.mark.parametrize("source", ["user", "database", "client", "session"])
def test_what_a_session_hides_is_decided_from_the_files(source):
    hidden = {"setting": "11264", "boot_val": "4096", "source": source}
    made = plan({"work_mem": "8MB"}, live=Live(rows(work_mem=hidden)))
    assert made.reload
    assert made.expected == {}
    again = plan({"work_mem": "8MB"}, owned(work_mem="8MB"), Live(rows(work_mem=hidden)))
    assert not again.reload
    stale = plan(
        {"work_mem": "8MB"}, owned(work_mem="8MB"), Live(rows(work_mem=hidden), stale=True)
    )
    assert stale.reload


def test_a_stopped_server_gets_its_file_and_nothing_else():
    live = Live(rows(), running=False)
    made = plan({"work_mem": "8MB", "max_connections": "200"}, live=live)
    assert made.target == {"work_mem": "8MB", "max_connections": "200"}
    assert {change["takes"] for change in made.changes} == {"start"}
    assert (made.reload, made.restart, made.expected) == (False, [], {})


def test_a_directory_that_is_not_included_is_for_as_long_as_there_is_a_file():
    made = plan({"work_mem": "8MB"}, {MAIN: "jit = on\n"})
    assert made.main_after.startswith("jit = on\ninclude_dir = 'conf.d'")
    assert made.overridden == []
    back = plan({}, {MAIN: made.main_after, OURS: made.after})
    assert (back.after, back.main_after) == (None, "jit = on\n")
    others = plan(
        {}, {MAIN: made.main_after, OURS: made.after, "/etc/pg/conf.d/10-other.conf": "jit = on\n"}
    )
    assert others.main_after == made.main_after


def effective(**changes):
    values = {
        "max_connections": "100",
        "superuser_reserved_connections": "3",
        "reserved_connections": "0",
        "wal_level": "replica",
        "archive_mode": "off",
        "max_wal_senders": "10",
        "max_replication_slots": "10",
        "min_wal_size": "80",
        "max_wal_size": "1024",
    }
    return {**values, **changes}.get


@pytest.mark.parametrize(
    ("changes", "version", "slots", "reason"),
    [
        (
            {"max_connections": "3"},
            15,
            0,
            "superuser_reserved_connections (3) must be less than max_connections (3)",
        ),
        (
            {"max_connections": "8", "reserved_connections": "5"},
            16,
            0,
            "plus reserved_connections (5)",
        ),
        ({"wal_level": "minimal"}, 15, 0, "WAL streaming"),
        (
            {"wal_level": "minimal", "max_wal_senders": "0", "archive_mode": "on"},
            15,
            0,
            "WAL archival",
        ),
        ({"wal_level": "minimal", "max_wal_senders": "0"}, 15, 1, "replication slots"),
        ({"max_replication_slots": "1"}, 15, 2, "max_replication_slots"),
        (
            {"min_wal_size": "16"},
            15,
            0,
            '"min_wal_size" must be at least twice "wal_segment_size" (16MB)',
        ),
    ],
)
def test_what_contradicts_itself_is_refused(changes, version, slots, reason):
    found = plans.contradictions(effective(**changes), version, 16 << 20, slots)
    assert len(found) == 1
    assert reason in found[0]


@pytest.mark.parametrize(
    "changes", [{}, {"wal_level": "minimal", "max_wal_senders": "0"}, {"max_connections": "4"}]
)
def test_what_does_not_contradict_itself_is_not(changes):
    assert plans.contradictions(effective(**changes), 15, 16 << 20, 0) == []
    # reserved_connections is of 16 and newer
    assert plans.contradictions(effective(reserved_connections="500"), 15, 16 << 20, 0) == []


def test_a_standby_gets_no_less_than_its_primary():
    control = {
        "max_connections setting": "250",
        "max_worker_processes setting": "8",
        "max_wal_senders setting": "10",
    }
    wanted = {
        "max_connections": Wanted("200", "usual", False),
        "max_worker_processes": Wanted("16", "for 16 CPUs", False),
        "max_wal_senders": Wanted("2", "as given", True),
        "work_mem": Wanted("4MB", "usual", False),
    }
    raised, refused = plans.standby_floor(wanted, control)
    assert raised["max_connections"].value == "250"
    assert "primary" in raised["max_connections"].why
    assert raised["max_worker_processes"] == wanted["max_worker_processes"]
    assert raised["work_mem"] == wanted["work_mem"]
    assert len(refused) == 1
    assert "max_wal_senders = 2 is below the primary's 10" in refused[0]
