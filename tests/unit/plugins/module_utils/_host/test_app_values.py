# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import app_code, app_values

FLEET_APP = Path(__file__).resolve().parents[4] / "fleet" / "image" / "app"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("REDIS_PORT", ["6379", " 6379 ", "6379.0", "+1", "65535"]),
        ("DATABASE_MAX_OVERFLOW", ["0", "-1", "1_000"]),
        ("ENABLE_CACHE", ["true", "False", "YES", "off", "1", "n"]),
        ("ZOHO_BATCH_DELAY", ["2", "0.5", ".5", "1e-3"]),
        ("LOG_LEVEL", ["INFO", "debug", "10", "Warn"]),
        ("DATABASE_URL", ["postgresql://u:p%40@h1,h2/db", "sqlite:///x.db", ""]),
        ("REDIS_URL", ["redis://:a@b@host/0", "unix:///run/redis.sock", "redis+sentinel://a,b/m"]),
        ("COGNEE_BASE_URL", ["http://127.0.0.1:8001"]),
    ],
)
def test_what_the_app_takes(name, values):
    assert [app_values.refusal(app_values.KINDS[name], value) for value in values] == [None] * len(
        values
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("REDIS_PORT", "", "is set to nothing, which is not a port"),
        ("API_PORT", "80OO", "is not a port"),
        ("DATABASE_PORT", "0", "is not a port"),
        ("DATABASE_PORT", "70000", "is not a port"),
        ("WORKERS", "four", "is not a whole number"),
        ("DATABASE_TIMEOUT", "30s", "is not a whole number"),
        ("DATABASE_POOL_SIZE", "5.5", "is not a whole number"),
        ("ENABLE_CACHE", "maybe", "is neither true nor false"),
        ("REQUIRE_MFA", "", "is set to nothing, which is neither true nor false"),
        ("ZOHO_BATCH_DELAY", "2 s", "is not a number"),
        ("LOG_LEVEL", "VERBOSE", "is not a level of the log"),
        ("DATABASE_URL", "not a url", "is malformed: it is not of the form"),
        (
            "DATABASE_URL",
            "postgresql://u:p@ss%word/1@h/db",
            "has % and / and @ in its password or user as it is: encode it (% as %25, / as %2F, @"
            " as %40)",
        ),
        ("REDIS_URL", "redis://:p/w@host/0", "has / in its password or user as it is: encode it"),
        ("COGNEE_BASE_URL", "127.0.0.1:8001", "is malformed"),
    ],
)
def test_what_the_app_refuses(name, value, reason):
    assert app_values.refusal(app_values.KINDS[name], value).startswith(reason)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("changeme", True),
        ("<your password>", True),
        ("your-secret-here", True),
        ("{{ vault }}", True),
        ("fleet-db=pass#1", False),
        ("1000.abcdefgh.ijklmnop", False),
    ],
)
def test_a_placeholder_is_known(text, is_one):
    assert app_values.is_placeholder(text) is is_one


def test_the_code_of_the_app_says_its_types():
    code = app_code.read(str(FLEET_APP))
    assert code.kinds["REDIS_PORT"] == app_values.WHOLE
    assert code.kinds["ENABLE_CACHE"] == app_values.SWITCH
    assert code.kinds["DATABASE_HOST"] == app_values.TEXT
    assert "REDIS_SSL" not in code.kinds
    assert code.reads_dotenv


@pytest.mark.parametrize(
    ("text", "kinds", "reads_dotenv"),
    [
        (
            "class S(BaseSettings):\n    a_port: Optional[int] = 1\n    B: int | str\n"
            "    C: float\n",
            {"A_PORT": "whole", "B": "text", "C": "number"},
            False,
        ),
        ("class A(BaseModel):\n    count: int\n", {}, False),
        (
            "load_dotenv()\nx = int(os.getenv('REDIS_PORT', 1)); y = float(os.environ['T'])\n",
            {"REDIS_PORT": "whole", "T": "number"},
            True,
        ),
    ],
)
def test_code_of_other_forms(text, kinds, reads_dotenv):
    assert app_code.interpret([text]) == (kinds, reads_dotenv)


def test_no_code_is_none_and_packages_are_not_its_own(tmp_path):
    assert app_code.read(str(tmp_path / "nothing")) is None
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "x.py").write_text("load_dotenv()")
    os.mkfifo(str(tmp_path / "fifo.py"))
    assert app_code.read(str(tmp_path)) is None
