# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere
from ansible_collections.sergas.ops.plugins.module_utils._health import cause_rules, recording
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import environment, keys
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_config,
    app_environment,
    file_access,
    process_environment,
    unit,
)

REQUIRED = ["DATABASE_HOST|DATABASE_URL", "DATABASE_NAME|DATABASE_URL", "ZOHO_SDK_REFRESH_TOKEN"]
GOOD = "DATABASE_HOST=db1\nDATABASE_NAME=prod\nZOHO_SDK_REFRESH_TOKEN=1000.abcdefgh.ijklmnop\n"
NO_OPTIONS = {}
UVICORN = "/srv/app/venv/bin/uvicorn src.main:app --port ${API_PORT}"
ANSWERS = {"samples": [{"status": 200}]}


def started(text):
    """Return the environment of a process that was started with this .env."""
    reading = app_config.interpret(text)
    return {
        name: value.systemd for name, value in reading.values.items() if value.systemd is not None
    }


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Return a function that makes the context of a host with an app in the test's directory.

    Its arguments: the text of .env, None for no file; {name: text} of further files of the unit;
    the environment of the app's process, None where it does not run.
    """
    monkeypatch.setattr(app_environment._Reader, "_manager", lambda reader: {})
    (tmp_path / "src").mkdir()
    config = tmp_path / "src" / "config.py"
    config.write_text(
        "class Settings(BaseSettings):\n    model_config = {'env_file': '.env'}\n"
        "    REDIS_PORT: int = 6379\n    ENABLE_CACHE: bool = True\n    SHARDS: int = 1\n"
        "    DATABASE_URL: str\n"
    )

    def make(text, more=None, process=None, by_systemd=True, required=None, **properties):
        path = str(tmp_path / ".env")
        paths = [path] if by_systemd else []
        if text is not None:
            (tmp_path / ".env").write_text(text, encoding="utf-8")
        for name, content in (more or {}).items():
            paths.append(str(tmp_path / name))
            (tmp_path / name).write_text(content)
        now = time.time()
        shown = {
            "Id": "sergas-app.service",
            "LoadState": "loaded",
            "WorkingDirectory": str(tmp_path),
            "EnvironmentFiles": "\n".join("%s (ignore_errors=no)" % one for one in paths),
            "ExecStart": "{ path=%s ; argv[]=%s ; ignore_errors=no }" % (UVICORN, UVICORN),
            "MainPID": "0" if process is None else "4711",
            "ExecMainStartTimestampMonotonic": str(
                int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6) + 5000000
            ),
            **properties,
        }
        monkeypatch.setattr(process_environment, "read", lambda _pids: (4711, process))
        monkeypatch.setattr(unit, "processes", lambda _properties: [4711])
        found = app_environment.read(shown, {}, None, now)
        return types.SimpleNamespace(
            app_environment=found,
            unit=shown,
            now=now,
            params={
                "required_variables": REQUIRED if required is None else required,
                "service": "sergas-app",
            },
            deadline=None,
        )

    return make


def decided(context, health=None):
    """Return the findings of a host, from what a recording keeps of its observation."""
    value, _gaps = environment.observe(context)
    return environment.decide(context, recording.decode(recording.encode(value)), health)


def ids(findings):
    return [(item["id"], item["status"], item["reason"]) for item in findings]


def test_a_complete_file_is_ok(host):
    (item,) = decided(host(GOOD))
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
    ],
)
def test_what_the_app_does_not_get_is_missing(host, text, names, reason):
    item = decided(host(text))[0]
    assert (item["id"], item["status"]) == ("app.env.missing", "fail")
    assert (item["reason"], item["remedy"]) == ("missing:" + names, "set_variables")
    assert any(
        entry.startswith(names + " (") and reason in entry
        for entry in item["evidence"]["variables"]
    )


def test_a_file_that_does_not_exist_names_all_variables(host):
    (item,) = decided(host(None))
    assert item["id"] == "app.env.missing"
    assert "/.env does not exist, so " in item["summary"]
    assert item["value"] == 3


def test_an_alternative_is_enough(host):
    text = (
        "DATABASE_URL=postgresql://u:p@db/prod\nZOHO_SDK_REFRESH_TOKEN=1\nDATABASE_HOST=db # old\n"
    )
    assert [item["id"] for item in decided(host(text))] == ["app.env.ambiguous"]


WITHOUT_NAME = GOOD.replace("DATABASE_NAME=prod\n", "")


def test_what_another_source_of_the_unit_sets_is_not_missing(host):
    assert [item["id"] for item in decided(host(WITHOUT_NAME, Environment="DATABASE_NAME=x"))] == [
        "app.env.ok"
    ]
    assert [item["id"] for item in decided(host(WITHOUT_NAME, {"db": "DATABASE_NAME=x"}))] == [
        "app.env.ok"
    ]
    assert [
        item["id"]
        for item in decided(host(GOOD, UnsetEnvironment="DATABASE_NAME", by_systemd=True))
    ] == ["app.env.ok"]  # its dotenv gives it again


def test_what_a_wrapper_sets_is_not_missing(host, tmp_path):
    wrapper = tmp_path / "sergas-run"
    wrapper.write_text("#!/bin/sh\nexport DATABASE_NAME=prod\nexec uvicorn src.main:app\n")
    command = "{ path=%s ; argv[]=%s ; }" % (wrapper, wrapper)
    process = started(GOOD)
    for running in (process, None):
        context = host(WITHOUT_NAME, process=running, ExecStart=command)
        assert ids(decided(context, ANSWERS)) == [("app.env.ok", "ok", None)]
        assert environment.observe(context).gaps == {}
    wrapper.write_text("#!/bin/sh\n. /etc/sergas/environment\nexec uvicorn src.main:app\n")
    # What that file has, the running app shows, and else only a start; nothing is said of the keys.
    context = host(WITHOUT_NAME, process=process, ExecStart=command)
    assert ids(decided(context, ANSWERS)) == [("app.env.ok", "ok", None)]
    assert environment.observe(context).gaps == {}
    value, gaps = environment.observe(host(WITHOUT_NAME, ExecStart=command))
    assert "may set REQUIRE_MFA, " in gaps["sources"] and "DATABASE_NAME" in gaps["sources"]
    assert ids(keys.decide(None, value)) == [("security.keys.ok", "ok", None)]


def test_readings_that_differ_do_not_matter_where_systemd_reads_no_file(host):
    text = GOOD.replace("prod", "prod # main")
    assert [item["id"] for item in decided(host(text, by_systemd=False))] == ["app.env.ok"]


def test_readings_that_differ_do_not_matter_where_another_source_decides(host):
    text = GOOD.replace("prod", "prod # main")
    assert [item["id"] for item in decided(host(text, {"second": "DATABASE_NAME=prod"}))] == [
        "app.env.ok"
    ]


def test_other_variables_that_read_differently_are_a_warning(host):
    (item,) = decided(host(GOOD + "REDIS_CACHE_TTL=300  # 5 minutes\n"))
    assert (item["id"], item["status"], item["value"]) == ("app.env.ambiguous", "warn", 1)
    assert item["reason"] == "differs:REDIS_CACHE_TTL"
    assert "python-dotenv reads '300'" in item["evidence"]["variables"][0]


def test_an_app_that_serves_with_an_exported_variable_gets_it_from_its_dotenv(host):
    text = GOOD.replace("DATABASE_NAME", "export DATABASE_NAME")
    assert ids(decided(host(text, process=started(text)), ANSWERS)) == [("app.env.ok", "ok", None)]
    # Without that, nothing says that the app reads the file itself.
    assert ids(decided(host(text, process=started(text))))[0][0] == "app.env.missing"


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.2.3", []), ("1.2.2", ["app.env.missing"]), (None, ["app.env.missing"])],
)
def test_a_byte_order_mark_matters_where_python_dotenv_keeps_it(host, tmp_path, version, expected):
    for name in ("bin/python", "pyvenv.cfg"):
        (tmp_path / "venv" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "venv" / name).write_text("")
    packages = tmp_path / "venv/lib/python3.11/site-packages"
    (packages / ("python_dotenv-%s.dist-info" % version if version else "x")).mkdir(parents=True)
    findings = decided(host("\ufeff" + GOOD))
    assert [item["id"] for item in findings if item["status"] != "ok"] == expected
    if expected:
        assert "DATABASE_HOST (line 1: a byte order mark" in findings[0]["evidence"]["variables"][0]


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("REDIS_PORT=", "line 4: is set to nothing"),
        ("ENABLE_CACHE=maybe", "line 4: 'maybe' is neither true nor false"),
        ("API_PORT=80OO", "line 4: '80OO' is not a port"),
        ("SHARDS=x", "line 4: 'x' is not a whole number"),
        ("DATABASE_URL=not a url", "line 4: is malformed"),
    ],
)
def test_a_value_that_the_app_refuses_is_named_alone(host, line, source):
    name = line.partition("=")[0]
    (item,) = decided(host(GOOD + line + "\n"))
    assert (item["id"], item["status"]) == ("app.env.invalid", "fail")
    assert item["reason"] == "invalid:" + name
    assert source in item["summary"]
    # An app that has started with it, and serves, has not refused it.
    context = host(GOOD + line + "\n", process=started(GOOD + line + "\n"))
    assert ids(decided(context, ANSWERS)) == [("app.env.ok", "ok", None)]
    # Its next start will, if it has something else now.
    context = host(GOOD + line + "\n", process=started(GOOD))
    assert ids(decided(context, ANSWERS)) == [("app.env.invalid", "fail", "invalid:" + name)]


def test_what_its_own_code_takes_as_a_text_is_not_refused(host):
    # Of these, the app has no setting of that type.
    assert [item["id"] for item in decided(host(GOOD + "REDIS_SSL=maybe\nWORKERS=x\n"))] == [
        "app.env.ok"
    ]


def test_a_value_of_another_file_is_named_with_it_and_not_set_in_dotenv(host, tmp_path):
    (item,) = decided(host(GOOD, {"second": "REDIS_PORT=none\n"}))
    assert "line 1 of %s: 'none' is not a port" % (tmp_path / "second") in item["summary"]
    assert item["remedy"] is None and str(tmp_path / "second") in item["advice"]


def test_nothing_of_a_raw_password_is_shown(host):
    text = GOOD + "DATABASE_URL=postgresql://sergas_app:p@ss%word/1@127.0.0.1:5432/sergas_prod\n"
    context = host(text)
    findings = decided(context)
    assert ids(findings) == [("app.env.invalid", "fail", "invalid:DATABASE_URL")]
    assert "encode it (% as %25, / as %2F, @ as %40)" in findings[0]["summary"]
    shown = repr(findings) + repr(environment.observe(context))
    assert "ss%word" not in shown and "p@ss" not in shown


@pytest.mark.parametrize(
    "line",
    [
        "ZOHO_SDK_REFRESH_TOKEN=hush-hush # old",
        "DATABASE_URL=postgresql://u:hush-hush@db/x # old",
        "API_KEY=hush-hush # old",
        "DATABASE_PORT=hush-hush://u:hush@x",
    ],
)
def test_no_secret_is_observed_or_shown(host, line):
    context = host(GOOD + line + "\n", required=[*REQUIRED, "API_KEY"])
    findings = decided(context)
    assert findings[0]["id"] in ("app.env.missing", "app.env.ambiguous", "app.env.invalid")
    if "PORT" not in line:
        assert "hush" not in repr(findings) + repr(environment.observe(context))


def test_of_a_secret_only_what_is_judged_of_it_is_observed(host):
    text = GOOD + "API_KEY=changeme\nOTHER_KEY=changeme\nDATABASE_PASSWORD=Aa1-aaaaaaaa\n"
    variables = environment.observe(host(text)).value["variables"]
    assert variables["DATABASE_PASSWORD"]["secret"] == {
        "length": 12,
        "alphabet": ["digits", "lower", "others", "upper"],
        "placeholder": False,
        "equal_to": None,
    }
    assert variables["OTHER_KEY"]["secret"]["equal_to"] == "API_KEY"
    assert variables["API_KEY"]["secret"]["placeholder"]


def test_what_others_may_read_and_duplicates_are_evidence(host, tmp_path):
    context = host(GOOD + "DATABASE_NAME=other\n")
    found = context.app_environment
    context.app_environment = found._replace(reading=found.reading._replace(mode=0o644))
    (item,) = decided(context)
    assert item["evidence"] == {
        "path": str(tmp_path / ".env"),
        "mode": "0644",
        "world_readable": True,
        "duplicates": ["DATABASE_NAME"],
    }


def test_a_secret_of_a_file_of_root_alone_is_not_copied_into_dotenv(host, tmp_path, monkeypatch):
    context = host("DATABASE_HOST=db1\nDATABASE_NAME=prod\n", {"secrets": "API_KEY=x\n"})
    found = context.app_environment
    root_only = [
        one._replace(mode=0o600, status=types.SimpleNamespace(st_uid=0))
        if one.path.endswith("secrets")
        else one._replace(mode=0o640)
        for one in found.readings
    ]
    context.app_environment = found._replace(readings=root_only, reading=root_only[0])
    (item,) = decided(context)
    assert (item["id"], item["remedy"]) == ("app.env.missing", None)
    assert "ZOHO_SDK_REFRESH_TOKEN in %s in a form" % (tmp_path / "secrets") in item["advice"]


class TestTheAppsUser:
    """A .env that its user may not read; what the kernel says is ``file_access``'s."""

    @pytest.fixture
    def denied(self, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(file_access, "denial", lambda *args: "it has the mode 0000")

    def test_it_keeps_the_app_from_starting(self, host, denied):
        (item,) = decided(host(GOOD, User="sergas"))
        assert ids([item]) == [("app.env.unreadable", "fail", "app_user")]
        assert (
            "cannot be read by sergas, as which the app runs: it has the mode 0000"
            in (item["summary"])
        )

    def test_an_app_that_has_started_with_it_since_shows_that_it_need_not(self, host, denied):
        context = host(GOOD, User="sergas", process=started(GOOD))
        assert ids(decided(context, ANSWERS)) == [("app.env.ok", "ok", None)]

    def test_an_app_that_serves_and_was_started_before_is_warned_of(self, host, denied):
        context = host(
            GOOD,
            User="sergas",
            process=started(GOOD),
            ExecMainStartTimestampMonotonic="1",
        )
        assert ids(decided(context, ANSWERS)) == [("app.env.unreadable", "warn", "app_user")]

    def test_an_app_whose_code_reads_no_dotenv_gets_it_from_systemd(self, host, denied, tmp_path):
        (tmp_path / "src" / "config.py").write_text("import os\nx = os.environ['A']\n")
        assert ids(decided(host(GOOD, User="sergas"))) == [("app.env.ok", "ok", None)]


def test_a_file_that_the_unit_must_have_is_named(host, tmp_path):
    context = host(GOOD, {"second": ""})
    (tmp_path / "second").unlink()
    context.app_environment = app_environment.read(context.unit, {})
    (item,) = decided(context)
    path = str(tmp_path / "second")
    assert ids([item]) == [("app.env.unreadable", "fail", "absent:" + path)]


class TestRestart:
    def pending(self, context):
        return environment.decide_restart(context, environment.observe(context).value)

    def test_an_app_with_what_it_would_get_again_is_ok(self, host):
        assert ids(self.pending(host(GOOD, process=started(GOOD)))) == [
            ("app.restart.ok", "ok", None)
        ]

    def test_what_has_changed_is_named_without_values(self, host):
        text = GOOD.replace("db1", "db2") + "REQUIRE_MFA=true\nDATABASE_PASSWORD=hush-hush\n"
        process = dict(started(GOOD), DATABASE_PASSWORD="old-hush", GONE="1")
        (item,) = self.pending(host(text, process=process))
        names = ["DATABASE_HOST", "DATABASE_PASSWORD", "GONE", "REQUIRE_MFA"]
        assert ids([item]) == [("app.restart.pending", "warn", "changed:" + ",".join(names))]
        assert item["evidence"]["variables"] == names
        assert "hush" not in repr(item) and "db2" not in repr(item)

    def test_an_app_that_does_not_run_needs_none(self, host):
        with pytest.raises(NotHere):
            self.pending(host(GOOD))


def test_a_variable_that_is_gone_is_the_root_of_the_restart_that_waits(host):
    context = host(WITHOUT_NAME, process=started(GOOD))
    value = environment.observe(context).value
    findings = environment.decide(context, value, ANSWERS)
    findings += environment.decide_restart(context, value)
    assert "the running app still has it" in findings[0]["summary"]
    causes = {item["id"]: item["cause"] for item in cause_rules.derive(findings)}
    assert causes == {"app.env.missing": None, "app.restart.pending": "app.env.missing"}


def test_systemd_wins_over_dotenv_and_options_over_both():
    reading = app_config.interpret("A=1 # x\nDATABASE_HOST=db1\nDATABASE_PORT=5433\n")
    settings = app_config.settings(reading, {"database_host": "db2", "database_port": None})
    assert settings["A"] == "1 # x"
    assert (settings["DATABASE_HOST"], settings["DATABASE_PORT"]) == ("db2", "5433")


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


@pytest.mark.parametrize(
    ("error", "uid", "expected"),
    [
        ("/app/.env cannot be read: Permission denied", 1000, ("unknown", "permission")),
        ("/app/.env is a directory, not a regular file", 1000, ("fail", "damaged")),
        (app_config.Refusal("/app/.env is a link to /etc/shadow"), 0, ("unknown", "refused")),
    ],
)
def test_a_file_that_may_not_be_read_is_unknown_and_a_broken_one_a_failure(
    host, monkeypatch, error, uid, expected
):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    context = host(GOOD)
    context.app_environment = context.app_environment._replace(reading=None, error=error)
    (item,) = decided(context)
    assert (item["id"], item["status"], item["reason"]) == ("app.env.unreadable", *expected)
    assert item["summary"] == error
