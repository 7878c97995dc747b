# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cognee_check against servers that answer as Cognee's versions do, and as other things would."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.sergas.ops.plugins.module_utils._cognee import check
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.modules import cognee_check as module

from .ports import refusing_port

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULTS = {
    name: option.get("default")
    for name, option in yaml.safe_load(module.DOCUMENTATION)["options"].items()
}
BAD = ("warn", "fail", "unknown")


def load(path):
    spec = importlib.util.spec_from_file_location("cognee_server", path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


server = load(CHECKOUT / "tests" / "cognee_server" / "server.py")


@pytest.fixture
def cognee():
    """Return a function that starts a server of a manner; all are stopped at the end."""
    started = []

    def start(manner):
        one = server.Cognee(("127.0.0.1", 0), manner)
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05}).start()
        started.append(one)
        return one

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


def inspect(target, **options):
    """Run the module's work on a server, or on a port, as it is with its defaults."""
    port = target if isinstance(target, int) else target.server_port
    params = dict(
        DEFAULTS,
        url="http://127.0.0.1:%d" % port,
        api_key=server.KEY,
        engine="none",
        env_file="/nonexistent",
        timeout=2.0,
    )
    params.update(options)
    return check.run(params, Deadline(params["deadline"]))


def bad(result):
    """Return {id: error_kind} of the bad findings."""
    return {
        item["id"]: item["evidence"].get("error_kind")
        for item in result["findings"]
        if item["status"] in BAD
    }


@pytest.mark.parametrize(
    ("manner", "version", "key", "path"),
    [
        ("1.6.5", "1.6.5", "X-Api-Key", "/api/v1/search"),
        ("0.5.0", "0.5.0", "X-Api-Key", "/api/v1/search"),
        ("0.2.1", None, "X-Api-Key", "/api/v1/search"),
        ("guide", None, "Bearer", "/api/v1/query"),
        ("empty", "1.6.5", "X-Api-Key", "/api/v1/search"),
        ("open", "1.6.5", "unchecked", "/api/v1/search"),
    ],
)
def test_each_version_is_well_and_nothing_is_left_in_its_history(
    cognee, manner, version, key, path
):
    one = cognee(manner)
    result = inspect(one)
    assert not bad(result)
    assert [item["id"] for item in result["findings"]] == ["cognee.ok"]
    assert (result["ready"], result["version"], result["key"]) == (True, version, key)
    assert result["query"] == {"path": path, "state": "route"}
    assert one.history == []


@pytest.mark.parametrize(("manner", "state"), [("1.6.5", "answered"), ("empty", "no data")])
def test_a_real_search_is_made_where_it_is_requested(cognee, manner, state):
    one = cognee(manner)
    result = inspect(one, query="search")
    assert not bad(result)
    assert result["query"]["state"] == state
    assert one.history == ["sergas.ops cognee_check"]


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("unhealthy", {"cognee.down": "unhealthy"}),
        ("failing", {"cognee.down": "error"}),
        ("cut", {"cognee.down": "closed"}),
        ("slow", {"cognee.slow": "health"}),
        ("mcp", {"cognee.wrong_service": "cognee-mcp"}),
        ("other", {"cognee.wrong_service": "other"}),
        ("guarded", {"cognee.wrong_service": "other"}),
        ("page", {"cognee.wrong_service": "other"}),
        ("garbage", {"cognee.wrong_service": "other"}),
        ("redirect", {"cognee.wrong_service": "redirect"}),
    ],
)
def test_what_is_wrong_is_distinguished_and_gets_no_key(cognee, manner, expected):
    one = cognee(manner)
    assert bad(inspect(one, timeout=0.5)) == expected
    assert one.requests
    assert not [request for request in one.requests if request[2]]


def test_a_server_that_hangs_is_down_and_holds_no_one_up(cognee):
    started = time.monotonic()
    assert bad(inspect(cognee("hang"), timeout=0.5)) == {"cognee.down": "hung"}
    assert time.monotonic() - started < 5


def test_nothing_there_is_refused():
    with refusing_port() as port:
        assert bad(inspect(port)) == {"cognee.down": "refused"}


def test_a_name_that_does_not_exist_is_reported():
    result = inspect(1, url="http://cognee.invalid:8001")
    assert bad(result) == {"cognee.down": "dns"}
    assert result["findings"][0]["remedy"] is None


def test_a_query_that_fails_behind_a_good_health_is_found_by_a_search_only(cognee):
    one = cognee("query_failing")
    assert not bad(inspect(one))
    assert bad(inspect(one, query="search")) == {"cognee.query": "failing"}


@pytest.mark.parametrize(
    ("manner", "options", "error_kind"),
    [
        ("1.6.5", {"api_key": "another-key"}, "refused"),
        ("guide", {"api_key": "another-key"}, "refused"),
    ],
)
def test_a_wrong_key_is_no_service_that_is_down(cognee, manner, options, error_kind):
    result = inspect(cognee(manner), **options)
    assert bad(result) == {"cognee.auth": error_kind}
    assert "another-key" not in json.dumps(result)


def test_a_key_that_the_app_does_not_have_is_reported(cognee, tmp_path):
    one = cognee("1.6.5")
    env = tmp_path / ".env"
    env.write_text("COGNEE_API_URL=http://127.0.0.1:%d/api/v1\n" % one.server_port)
    result = inspect(one, url=None, api_key=None, env_file=str(env))
    assert bad(result) == {"cognee.auth": "missing"}
    # A host that does not know the app's settings has nothing to say of its key.
    assert not bad(inspect(one, api_key=None))


def test_components_are_queried_only_if_wanted(cognee):
    one = cognee("degraded")
    assert not bad(inspect(one))
    assert not [path for _method, path, _key in one.requests if "detailed" in path]
    result = inspect(one, components=True)
    assert bad(result) == {"cognee.components": None}
    item = [item for item in result["findings"] if item["id"] == "cognee.components"][0]
    assert item["status"] == "warn"
    assert item["evidence"]["components"]["embedding_service"] == "unhealthy"


def test_an_unhealthy_server_names_its_component(cognee):
    result = inspect(cognee("unhealthy"), components=True)
    assert bad(result) == {"cognee.down": "unhealthy", "cognee.components": None}
    assert "graph_db" in json.dumps(result["findings"])


def test_settings_come_from_the_env_file(cognee, tmp_path):
    one = cognee("1.6.5")
    env = tmp_path / ".env"
    env.write_text(
        "COGNEE_BASE_URL=http://127.0.0.1:%d/\nCOGNEE_API_KEY=%s\n" % (one.server_port, server.KEY)
    )
    result = inspect(one, url=None, api_key=None, env_file=str(env))
    assert not bad(result) and result["key"] == "X-Api-Key"


def test_a_url_that_is_none_is_unknown_and_shows_no_password(tmp_path):
    env = tmp_path / ".env"
    env.write_text("COGNEE_BASE_URL=ftp://sergas:s3cret-word@cognee\n")
    result = inspect(1, url=None, env_file=str(env))
    assert bad(result) == {"cognee.unknown": None}
    assert "s3cret-word" not in json.dumps(result)


def test_the_view_of_another_host_sends_no_key(cognee):
    one = cognee("1.6.5")
    result = inspect(one, view="reach")
    assert result["reachable"] and result["identity"] == "cognee"
    assert [request[1:] for request in one.requests] == [("/", None)]
    with refusing_port() as port:
        assert inspect(port, view="reach")["error_kind"] == "refused"


def test_the_module_itself_answers_and_keeps_the_key(cognee):
    one = cognee("1.6.5")
    arguments = {
        "url": "http://127.0.0.1:%d" % one.server_port,
        "api_key": server.KEY,
        "engine": "none",
    }
    done = subprocess.run(
        [sys.executable, "-m", module.__name__],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={"PYTHONPATH": str(CHECKOUT / ".build"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    result = json.loads(done.stdout)
    assert result["ready"] and result["changed"] is False
    assert server.KEY not in done.stdout + done.stderr
