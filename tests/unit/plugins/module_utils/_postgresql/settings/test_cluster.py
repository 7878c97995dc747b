# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    cluster as clusters,
)

# pg_lsclusters --no-header of a host with three clusters
LISTED = """\
13  main    5432 online,recovery postgres /var/lib/postgresql/13/main    /var/log/postgresql/postgresql-13-main.log
15  main    5433 down            postgres /var/lib/postgresql/15/main    /var/log/postgresql/postgresql-15-main.log
15  reports 5434 online          reporter /srv/pg/reports                /var/log/postgresql/postgresql-15-reports.log
"""  # noqa: E501  as the program prints it
# What PostgreSQL 15 wrote about a file with five mistakes, and 13 about an unknown name.
COMPLAINTS = """\
2026-11-24 15:06:16.016 GMT [8188] LOG:  invalid value for parameter "shared_buffers": "1XB"
2026-11-24 15:06:16.016 GMT [8188] HINT:  Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".
2026-11-24 15:06:16.016 GMT [8188] LOG:  9999999 is outside the valid range for parameter "max_connections" (1 .. 262143)
2026-11-24 15:06:16.016 GMT [8188] LOG:  unrecognized configuration parameter "nosuch" in file "/tmp/x/postgresql.conf" line 2
2026-11-24 15:06:16.016 GMT [8188] FATAL:  configuration file "/tmp/x/postgresql.conf" contains errors
"""  # noqa: E501  as the program prints it
# pg_controldata of PostgreSQL 15
CONTROL = """\
pg_control version number:            1300
Database cluster state:               in production
pg_control last modified:             Tue 24 Nov 2026 03:05:43 PM UTC
max_connections setting:              100
Bytes per WAL segment:                16777216
"""


def test_clusters_are_read_as_debian_lists_them():
    main, down, reports = clusters.parse_clusters(LISTED)
    assert (main.version, main.name, main.port, main.owner) == (13, "main", 5432, "postgres")
    assert main.config_file == "/etc/postgresql/13/main/postgresql.conf"
    assert main.programs == "/usr/lib/postgresql/13/bin"
    assert main.log_file == "/var/log/postgresql/postgresql-13-main.log"
    assert (down.version, down.port) == (15, 5433)
    assert (reports.data_directory, reports.owner) == ("/srv/pg/reports", "reporter")


@pytest.mark.parametrize(
    ("choice", "port"),
    [
        ({"version": 13}, 5432),
        ({"version": 15, "name": "main"}, 5433),
        ({"name": "reports"}, 5434),
        ({"port": 5433}, 5433),
        ({"data_directory": "/srv/pg/../pg/reports"}, 5434),
    ],
)
def test_a_cluster_is_chosen_by_what_tells_it_apart(choice, port):
    assert clusters.choose(clusters.parse_clusters(LISTED), **choice).port == port


def test_the_only_cluster_needs_no_choice():
    assert clusters.choose(clusters.parse_clusters(LISTED.splitlines()[0])).port == 5432


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {},
            (
                r"several .*: 13/main \(port 5432\), 15/main \(port 5433\), 15/reports \(port"
                r" 5434\); choose"
            ),
        ),
        ({"version": 15}, r"several .*: 15/main \(port 5433\), 15/reports \(port 5434\); choose"),
        (
            {"version": 14, "name": "main"},
            r"with cluster main, version 14 here; there is 13/main .*15/reports",
        ),
    ],
)
def test_a_cluster_that_is_not_one_is_an_error_that_names_them(choice, message):
    with pytest.raises(clusters.ClusterError, match=message):
        clusters.choose(clusters.parse_clusters(LISTED), **choice)


def test_no_cluster_at_all_is_an_error():
    with pytest.raises(clusters.ClusterError, match="there is none"):
        clusters.choose([])


@pytest.mark.parametrize(
    ("version", "message"), [("12", "is of PostgreSQL 12: 13"), ("9.6", "is of PostgreSQL 9: 13")]
)
def test_a_data_directory_that_is_too_old_is_refused(tmp_path, version, message):
    (tmp_path / "PG_VERSION").write_text(version + "\n")
    with pytest.raises(clusters.ClusterError, match=message):
        clusters.locate(None, None, None, str(tmp_path), None, Deadline(10))


def test_a_directory_that_is_no_data_directory_is_refused(tmp_path):
    with pytest.raises(clusters.ClusterError, match="is no data directory"):
        clusters.locate(None, None, None, str(tmp_path), None, Deadline(10))


def test_what_the_server_says_is_kept_in_its_words_with_its_hints():
    assert clusters.parse_refusals(COMPLAINTS, "/tmp/x/postgresql.conf") == [
        (
            'invalid value for parameter "shared_buffers": "1XB"'
            ' (Valid units for this parameter are "B", "kB", "MB", "GB", and "TB")'
        ),
        '9999999 is outside the valid range for parameter "max_connections" (1 .. 262143)',
        'unrecognized configuration parameter "nosuch"',
    ]


def test_control_data_is_read_by_its_labels():
    data = clusters.parse_control_data(CONTROL)
    assert data["max_connections setting"] == "100"
    assert data["Bytes per WAL segment"] == "16777216"
    assert data["pg_control last modified"] == "Tue 24 Nov 2026 03:05:43 PM UTC"


def cluster(tmp_path, **fields):
    values = dict.fromkeys(clusters.Cluster._fields)
    return clusters.Cluster(**{**values, "version": 15, "data_directory": str(tmp_path), **fields})


def test_the_log_says_why_a_server_did_not_start(tmp_path):
    log = tmp_path / "log"
    log.write_text("2026-11-24 15:00:00 UTC [1] FATAL:  an old one\n")
    since = log.stat().st_size
    with log.open("a") as file:
        file.write(
            "2026-11-24 15:01:00 UTC [2] LOG:  starting\n2026-11-24 15:01:00 UTC [3] x@y FATAL: "
            " the database system is starting up\n2026-11-24 15:01:00 UTC [2] FATAL:  could not map"
            " anonymous shared memory: Cannot allocate memory\n2026-11-24 15:01:00 UTC [2] HINT: "
            " Ask for less.\n"
        )
    here = cluster(tmp_path, log_file=str(log))
    assert clusters.log_complaints(here, since) == [
        "could not map anonymous shared memory: Cannot allocate memory (Ask for less)"
    ]
    # The log was rotated meanwhile: all of the new one counts.
    assert len(clusters.log_complaints(here, since + 10**6)) == 2
    assert clusters.log_complaints(cluster(tmp_path, log_file=str(tmp_path / "gone")), 0) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "main"}, ["pg_ctlcluster", "15", "main", "restart"]),
        (
            {"name": "main", "service": "postgresql@15-main"},
            ["systemctl", "restart", "postgresql@15-main"],
        ),
    ],
)
def test_a_restart_takes_the_way_of_the_system(tmp_path, fields, expected):
    assert clusters.control_command(cluster(tmp_path, **fields), "restart", 60) == expected


def test_elsewhere_pg_ctl_waits_and_ends_sessions(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    command = clusters.control_command(
        cluster(tmp_path, programs="/opt/pg/bin", log_file="/srv/log"), "restart", 60.5
    )
    assert command[0] == "/opt/pg/bin/pg_ctl"
    assert ["-D", str(tmp_path), "-w", "-t", "60"] == command[2:7]
    assert command[command.index("-l") + 1] == "/srv/log"
    assert command[command.index("-m") + 1] == "fast"


def test_a_process_id_of_another_program_is_not_a_server(tmp_path):
    pid_file = tmp_path / "postmaster.pid"
    assert clusters.pid_of(str(tmp_path)) is None
    # This test itself is running, and no server.
    pid_file.write_text("%d\n%s\n1790000000\n5433\n/tmp\n*\n" % (os.getpid(), tmp_path))
    assert clusters.pid_of(str(tmp_path)) is None
    assert clusters.socket_directory(str(tmp_path)) == "/tmp"
