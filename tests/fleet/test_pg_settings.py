# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pg_settings on a host of the fleet, over SSH: PostgreSQL under systemd, with the app beside it.

The role that uses it is molecule's scenario postgresql, on another release.
"""

from __future__ import annotations

import json

import fleet as reference
import playbook
import pytest

# After the fleet's own file, which keeps shared_buffers small.
OPTIONS = {
    "filename": "zz-sergas.conf",
    "memory": "512MB",
    "cpus": 4,
    "storage": "ssd",
    "shared_host": False,
    "connections": 90,
}
TUNED = {
    "shared_buffers": "128MB",
    "max_connections": "90",
    "random_page_cost": "1.1",
    "max_worker_processes": "4",
}


class Host:
    """A host of the fleet, reached as Ansible reaches it."""

    def __init__(self, name):
        self.name = name

    def settings(self, check=False, **options):
        """Run pg_settings and return its result."""
        options = {**OPTIONS, **options}
        return playbook.module(self.name, "sergas.ops.pg_settings", check=check, **options)

    def run(self, *command):
        """Run a command and return what it prints."""
        done = playbook.module(self.name, "ansible.builtin.command", argv=command)
        assert done.get("rc") == 0, done
        return done["stdout"]

    def show(self, *names):
        sql = (
            "SELECT json_object_agg(name, current_setting(name)) FROM pg_settings WHERE name = ANY"
            " (%s)"
        )
        array = "ARRAY[%s]" % ", ".join("'%s'" % name for name in names)
        psql = ["psql", "-X", "-A", "-t", "-c", sql % array]
        # psql complains of a directory that it may not read.
        return json.loads(self.run("env", "-C", "/", "runuser", "-u", "postgres", "--", *psql))


@pytest.fixture(scope="module", params=reference.tried_on("bookworm"))
def host(request, fleet):
    """One host for all of it: each test leaves the server with the settings that it began with."""
    return Host(fleet.fresh(fleet.of(request.param)[0]))


def same(result, predicted):
    """Compare two results but for what a check run cannot know."""
    return {key: value for key, value in result.items() if key != "invocation"} == {
        key: value for key, value in predicted.items() if key != "invocation"
    }


def unchanged(result):
    return not (result["changed"] or result["reloaded"] or result["restarted"])


def test_what_is_on_the_host_is_counted_and_what_overrides_is_named(host):
    result = host.settings(check=True, memory=None, shared_host=None, filename="10-sergas.conf")
    assert result["shared_host"]
    assert {"postgresql", "reserve", "app", "redis"} <= {
        line["consumer"] for line in result["budget"]
    }
    assert [item["name"] for item in result["overridden"]] == ["shared_buffers"]
    assert "fleet.conf line" in result["overridden"][0]["by"]


def test_poison_and_a_deadly_value_leave_the_server_up_with_what_it_had(host):
    before = host.show("max_connections", "work_mem", "shared_buffers")
    poisoned = host.settings(tune=False, settings={"work_mem": "5XB"}, allow_restart=True)
    assert 'invalid value for parameter "work_mem"' in poisoned["msg"]
    deadly = host.settings(tune=False, settings={"shared_buffers": "7TB"}, allow_restart=True)
    assert "could not map anonymous shared memory" in deadly["msg"]
    assert "the old file was restored, and the server is up with it" in deadly["msg"]
    assert host.show("max_connections", "work_mem", "shared_buffers") == before
    assert host.run("sh", "-c", "ls -A /etc/postgresql/*/main/conf.d") == "fleet.conf"


def test_a_run_that_dies_before_the_restart_is_finished_by_the_next_one(host):
    # In front of Debian's own: ends the module that calls it, as hard as can be.
    wrapper = "/usr/local/sbin/pg_ctlcluster"
    host.run(
        "sh", "-c", "printf '#!/bin/sh\\nkill -9 $PPID\\n' > %s; chmod 755 %s" % (wrapper, wrapper)
    )
    try:
        with pytest.raises((AssertionError, ValueError, KeyError)):
            host.settings(allow_restart=True)["restarted"]
    finally:
        host.run("rm", wrapper)
    assert host.show("max_connections", "random_page_cost") == {
        "max_connections": "100",
        "random_page_cost": "1.1",
    }
    result = host.settings(allow_restart=True)
    assert result["restarted"]
    assert not result["reloaded"]
    assert host.show(*TUNED) == TUNED
    assert unchanged(host.settings(allow_restart=True))
    assert host.settings(state="absent", allow_restart=True)["restarted"]
    assert host.show("max_connections") == {"max_connections": "100"}


def test_a_host_is_tuned_as_predicted(host):
    predicted = host.settings(check=True, allow_restart=True)
    result = host.settings(allow_restart=True)
    assert same(result, predicted)
    assert result["restarted"]
    assert host.show(*TUNED) == TUNED
