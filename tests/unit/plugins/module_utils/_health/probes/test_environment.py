# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import environment
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config

REQUIRED = ["DATABASE_HOST|DATABASE_URL", "DATABASE_NAME|DATABASE_URL", "ZOHO_SDK_REFRESH_TOKEN"]
GOOD = "DATABASE_HOST=db1\nDATABASE_NAME=prod\nZOHO_SDK_REFRESH_TOKEN=1000.abcdefgh.ijklmnop\n"
NO_OPTIONS = {}


def judged(text, required=None, **kwargs):
    reading = None if text is None else app_config.interpret(text, "/app/.env")
    return environment.judge(
        reading, "/app/.env", REQUIRED if required is None else required, **kwargs
    )


def test_a_complete_file_is_ok():
    (item,) = judged(GOOD)
    assert (item["id"], item["status"]) == ("app.env.ok", "ok")


@pytest.mark.parametrize(
    ("text", "names", "reason"),
    [
        (GOOD.replace("DATABASE_NAME=prod\n", ""), "DATABASE_NAME", "not set"),
        (
            GOOD.replace("DATABASE_NAME=prod", "DATABASE_NAME="),
            "DATABASE_NAME",
            "line 2 sets it to nothing",
        ),
        (
            GOOD.replace("DATABASE_NAME=prod", 'DATABASE_NAME=" "'),
            "DATABASE_NAME",
            "line 2 sets it to nothing",
        ),
        (
            GOOD.replace("DATABASE_NAME=prod", "#DATABASE_NAME=prod"),
            "DATABASE_NAME",
            "commented out in line 2",
        ),
        (
            GOOD.replace("DATABASE_NAME=prod", "DATABASE_NAME prod"),
            "DATABASE_NAME",
            "line 2 is malformed",
        ),
        (
            GOOD.replace("DATABASE_NAME=prod", "DATABASE_NAME"),
            "DATABASE_NAME",
            "line 2 is malformed",
        ),
        (
            GOOD.replace("DATABASE_NAME=prod", "DATABASE_NAME=prod # main"),
            "DATABASE_NAME",
            "systemd reads 'prod # main'",
        ),
        (
            GOOD.replace("DATABASE_NAME", "export DATABASE_NAME"),
            "DATABASE_NAME",
            "systemd reads nothing",
        ),
        (
            "DATABASE_URL=not a url\nZOHO_SDK_REFRESH_TOKEN=1\n",
            "DATABASE_URL",
            "line 1 is malformed",
        ),
    ],
)
def test_what_the_app_does_not_get_is_missing(text, names, reason):
    item = judged(text)[0]
    assert (item["id"], item["status"]) == ("app.env.missing", "fail")
    assert any(
        entry.startswith(names + " (") and reason in entry
        for entry in item["evidence"]["variables"]
    )


def test_a_file_that_does_not_exist_names_all_variables():
    (item,) = judged(None)
    assert item["id"] == "app.env.missing"
    assert "/app/.env does not exist" in item["summary"]
    assert item["value"] == 3


def test_an_alternative_is_enough():
    text = (
        "DATABASE_URL=postgresql://u:p@db/prod\nZOHO_SDK_REFRESH_TOKEN=1\nDATABASE_HOST=db # old\n"
    )
    assert [item["id"] for item in judged(text)] == ["app.env.ambiguous"]


def test_what_the_unit_sets_itself_is_not_missing():
    text = GOOD.replace("DATABASE_NAME=prod\n", "")
    assert [item["id"] for item in judged(text, own={"DATABASE_NAME": "prod"})] == ["app.env.ok"]


def test_readings_that_differ_do_not_matter_where_systemd_reads_no_file():
    text = GOOD.replace("prod", "prod # main")
    assert [item["id"] for item in judged(text, by_systemd=False)] == ["app.env.ok"]


def test_other_variables_that_read_differently_are_a_warning():
    (item,) = judged(GOOD + "REDIS_CACHE_TTL=300  # 5 minutes\n")
    assert (item["id"], item["status"], item["value"]) == ("app.env.ambiguous", "warn", 1)
    assert "python-dotenv reads '300'" in item["evidence"]["variables"][0]


@pytest.mark.parametrize(
    "line",
    [
        "ZOHO_SDK_REFRESH_TOKEN=hush-hush # old",
        "DATABASE_URL=postgresql://u:hush-hush@db/x # old",
        "API_KEY=hush-hush # old",
    ],
)
def test_no_secret_is_shown(line):
    findings = judged(GOOD + line + "\n", REQUIRED + ["API_KEY"])
    assert findings[0]["id"] in ("app.env.missing", "app.env.ambiguous")
    assert "hush" not in repr(findings)


def test_what_others_may_read_and_duplicates_are_evidence():
    reading = app_config.interpret(GOOD + "DATABASE_NAME=other\n", "/app/.env", 0o644)
    (item,) = environment.judge(reading, "/app/.env", REQUIRED)
    assert item["evidence"] == {
        "path": "/app/.env",
        "mode": "0644",
        "world_readable": True,
        "duplicates": ["DATABASE_NAME"],
    }


def test_systemd_wins_over_dotenv_and_options_over_both():
    reading = app_config.interpret("A=1 # x\nDATABASE_HOST=db1\nDATABASE_PORT=5433\n")
    settings = app_config.settings(reading, {"database_host": "db2", "database_port": None})
    assert settings["A"] == "1 # x"
    assert (settings["DATABASE_HOST"], settings["DATABASE_PORT"]) == ("db2", "5433")


def test_without_an_environment_file_dotenv_is_what_counts():
    unit = {"LoadState": "loaded", "EnvironmentFiles": "", "Environment": 'B=2 "C=3 4"'}
    settings = app_config.settings(app_config.interpret("A=1 # x\nB=1\n"), NO_OPTIONS, unit)
    assert settings == {"A": "1", "B": "2", "C": "3 4"}


def test_urls_are_taken_apart():
    text = "DATABASE_URL=postgresql+asyncpg://u%40x:p%2Fw@[::1]:5433/prod?ssl=require\n"
    settings = app_config.settings(app_config.interpret(text), NO_OPTIONS)
    parts = {name.partition(".")[2]: value for name, value in settings.items() if "." in name}
    assert parts == {
        "scheme": "postgresql+asyncpg",
        "user": "u@x",
        "password": "p/w",
        "host": "::1",
        "port": "5433",
        "path": "/prod",
        "query": "ssl=require",
    }


@pytest.mark.parametrize(
    ("value", "port"), [("8001", 8001), ("0", None), ("65536", None), ("80a", None), ("", None)]
)
def test_only_a_port_is_a_port(value, port):
    assert app_config.port({"API_PORT": value}) == port


def test_secrets_are_found_in_urls_and_in_both_readings():
    reading = app_config.interpret(
        "REDIS_URL=redis://:p%40ssword@r:6379/0\nDATABASE_PASSWORD=abc #"
        " x\nAPI_PORT=8000\nBROKEN=://u:x@y\n"
    )
    found = app_config.secrets(app_config.settings(reading, NO_OPTIONS), reading)
    assert found == {"p@ssword", "p%40ssword", "abc", "abc # x"}


class TestRead:
    def test_a_file(self, tmp_path):
        path = tmp_path / ".env"
        path.write_text(GOOD)
        path.chmod(0o640)
        reading, error = app_config.read(str(path))
        assert error is None
        assert (reading.mode, reading.values["DATABASE_HOST"].systemd) == (0o640, "db1")

    def test_no_file(self, tmp_path):
        assert app_config.read(str(tmp_path / ".env")) == (None, None)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"A=1\0", "NUL"),
            (b"A=\xff\xfe\n", "not UTF-8 at byte 2"),
            (b"A=1\n" * 300000, "larger than"),
        ],
    )
    def test_what_is_no_text(self, tmp_path, content, reason):
        path = tmp_path / ".env"
        path.write_bytes(content)
        reading, error = app_config.read(str(path))
        assert reading is None
        assert reason in error

    @pytest.mark.parametrize("kind", ["a directory", "a FIFO"])
    def test_what_is_no_file_does_not_hold_it_up(self, tmp_path, kind):
        path = str(tmp_path / ".env")
        os.mkdir(path) if kind == "a directory" else os.mkfifo(path)
        reading, error = app_config.read(path)
        assert reading is None
        assert error == "%s is %s, not a regular file" % (path, kind)


def test_a_file_that_may_not_be_read_is_unknown_and_a_broken_one_a_failure(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    ctx = types.SimpleNamespace(
        environment_error="/app/.env cannot be read: Permission denied", env_file="/app/.env"
    )
    (item,) = environment.decide(ctx)
    assert (item["id"], item["status"], item["confidence"]) == (
        "app.env.unreadable",
        "unknown",
        "blind",
    )
    ctx.environment_error = "/app/.env is a directory, not a regular file"
    (item,) = environment.decide(ctx)
    assert (item["id"], item["status"]) == ("app.env.unreadable", "fail")
    ctx.environment_error = app_config.Refusal("/app/.env is a link to /etc/shadow")
    (item,) = environment.decide(ctx)
    assert (item["id"], item["status"]) == ("app.env.unreadable", "unknown")
    assert "link to /etc/shadow" in item["summary"]
