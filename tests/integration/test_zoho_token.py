# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zoho_token with a real Redis and a Zoho of one's own: one refresh for a fleet, whatever
happens meanwhile.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import redis
from ansible_collections.sergas.ops.plugins.module_utils._zoho import token as zoho_token
from ansible_collections.sergas.ops.plugins.modules import zoho_token as module

from .redis_server import RedisServer, until

CHECKOUT = Path(__file__).resolve().parents[2]
REDIS_PASSWORD = "R3dis-s3cret-of-the-fleet"
DEFAULTS = {
    name: option.get("default")
    for name, option in yaml.safe_load(module.DOCUMENTATION)["options"].items()
}
HOSTS = 50


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


server = load(CHECKOUT / "tests" / "zoho_server" / "server.py")


@pytest.fixture(scope="session")
def redis_server(redis_programs, tmp_path_factory):
    started = RedisServer(tmp_path_factory.mktemp("redis"), password=REDIS_PASSWORD)
    yield started
    started.stop()


class World:
    """A Zoho, a Redis, and the .env of an app that uses both."""

    def __init__(self, zoho, served, store, directory):
        self.zoho, self.served, self.redis = zoho, served, store
        self.app = zoho.register("us")
        self.refresh_token = zoho.refresh_token(self.app)
        self.env_file = directory / ".env"
        self.settings = {
            "ZOHO_SDK_CLIENT_ID": self.app.id,
            "ZOHO_SDK_CLIENT_SECRET": self.app.secret,
            "ZOHO_SDK_REFRESH_TOKEN": self.refresh_token,
            "ZOHO_ACCOUNTS_URL": served.url,
            "ZOHO_API_URL": served.url,
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": store.port,
            "REDIS_PASSWORD": REDIS_PASSWORD,
        }
        self.write()

    def write(self, **settings):
        self.settings.update(settings)
        lines = [f"{name}={value}\n" for name, value in self.settings.items() if value is not None]
        self.env_file.write_text("".join(lines))

    def options(self, **options):
        return {
            "env_file": str(self.env_file),
            "ca_path": str(self.served.certificate),
            "timeout": 3,
            **options,
        }

    def params(self, **options):
        params = {**DEFAULTS, **self.options(**options)}
        if params["verify"] is None:
            params["verify"] = params["state"] in ("valid", "refreshed")
        return params

    def run(self, check=False, **options):
        """Run the module's work in this process."""
        params = self.params(**options)
        secrets = []
        run = zoho_token.Run(params, Deadline(params["deadline"]), check, secrets.append)
        if params["state"] == "observed":
            result = run.observe()
        elif params["state"] == "absent":
            result = run.clear()
        else:
            result = run.obtain(forced=params["state"] == "refreshed")
        result["warnings"] = run.warnings
        assert_no_secret(self, json.dumps(result))
        return result

    def refused(self, **options):
        """Run what must be refused, and return the finding that says why."""
        with pytest.raises(zoho_token.Refused) as refusal:
            self.run(**options)
        assert_no_secret(self, str(refusal.value) + json.dumps(refusal.value.result))
        self.result = refusal.value.result
        return refusal.value.result["findings"][-1]

    def cached(self):
        return self.redis.client.get("zoho:access_token")

    def secrets(self):
        known = [self.app.secret, REDIS_PASSWORD, *self.zoho.grants, *self.zoho.tokens]
        return [secret for secret in known if secret]


def assert_no_secret(world, text):
    for secret in world.secrets():
        assert secret not in text


@pytest.fixture
def make_world(redis_server, tmp_path):
    opened = []

    def make(store=None, **zoho):
        served = server.Server(server.Zoho(**zoho), tmp_path)
        opened.append(served)
        return World(served.zoho, served, store or redis_server, tmp_path)

    redis_server.client.flushall()
    yield make
    for served in opened:
        served.close()


@pytest.fixture
def world(make_world):
    return make_world()


@pytest.fixture(params=redis.DRIVERS)
def driver(request, monkeypatch):
    """Run the test as on a host with redis-py, and as on one without."""
    if request.param == "resp":
        monkeypatch.setattr(redis, "_library", lambda: None)
    return request.param


# -- one host


def test_a_token_is_fetched_once_and_then_found(driver, world):
    first = world.run()
    assert first["driver"] == driver
    assert (first["changed"], first["refreshes"], first["token"]["source"]) == (True, 1, "refresh")
    assert first["token"]["verified"] == "alive"
    assert first["budget"]["left"] == 9
    assert world.zoho.is_active(world.cached())
    # A reader of the cache never gets a token that dies at once.
    assert 3500 <= world.redis.client.ttl("zoho:access_token") <= 3540
    second = world.run()
    assert (second["changed"], second["refreshes"], second["token"]["source"]) == (
        False,
        0,
        "cache",
    )
    assert second["token"]["fingerprint"] == first["token"]["fingerprint"]
    assert [item["id"] for item in second["findings"]] == ["zoho.token.ok"]
    assert second["findings"][0]["evidence"]["target"] == f"127.0.0.1:{world.served.port}"
    assert (world.zoho.count("token"), world.zoho.count("check")) == (1, 1)


def test_check_mode_says_what_will_happen_and_spends_nothing(world):
    planned = world.run(check=True)
    assert (planned["changed"], planned["refreshes"]) == (True, 0)
    assert planned["diff"]["before"] == {"token": None}
    assert world.zoho.count("token") == 0
    assert world.redis.client.keys() == []
    world.run()
    before = {key: world.redis.client.dump(key) for key in sorted(world.redis.client.keys())}
    assert world.run(check=True)["changed"] is False
    assert world.run(check=True, state="refreshed", max_age=0)["changed"] is True
    assert world.run(check=True, state="absent")["changed"] is True
    assert {
        key: world.redis.client.dump(key) for key in sorted(world.redis.client.keys())
    } == before
    assert world.zoho.count("token") == 1


def test_the_apps_own_token_counts_for_as_long_as_it_stays(world):
    _status, reply = world.zoho.issue(
        {
            "client_id": world.app.id,
            "client_secret": world.app.secret,
            "refresh_token": world.refresh_token,
        },
        "us",
    )
    world.redis.client.set("zoho:access_token", reply["access_token"], ex=3000)
    result = world.run(min_ttl=2900)
    assert (result["changed"], result["token"]["issuer"]) == (False, None)
    assert 2990 <= result["token"]["seconds_left"] <= 3000
    assert world.run(min_ttl=3100)["changed"] is True


def test_a_cached_token_that_is_dead_is_found_out_and_replaced(world):
    world.redis.client.set("zoho:access_token", server.make_token(), ex=3000)
    observed = world.run(state="observed", verify=True)
    [finding] = observed["findings"]
    assert (finding["id"], finding["status"], finding["evidence"]["error_kind"]) == (
        "zoho.token.invalid",
        "fail",
        "dead",
    )
    assert finding["remedy"] == "zoho_refresh"
    assert world.run(check=True)["changed"] is True
    assert world.run()["changed"] is True
    assert world.run(state="observed", verify=True)["bad"] == 0
    assert len(world.zoho.tokens) == 1


def test_a_token_that_others_have_evicted_is_replaced(make_world):
    world = make_world(limit=100)
    world.run()
    form = {
        "client_id": world.app.id,
        "client_secret": world.app.secret,
        "refresh_token": world.refresh_token,
    }
    for _time in range(server.ACTIVE_TOKENS - 1):
        world.zoho.issue(form, "us")
    assert world.zoho.is_active(world.cached())
    world.zoho.issue(form, "us")
    assert not world.zoho.is_active(world.cached())
    assert world.run(state="observed", verify=True)["roots"] == ["zoho.token.invalid"]
    # What the API said a moment ago holds for a minute: that minute is over.
    world.redis.client.hdel("zoho:access_token:record", "verified")
    record = int(world.redis.client.hget("zoho:access_token:record", "issued"))
    world.redis.client.hset("zoho:access_token:record", "issued", record - 61000)
    assert world.run()["changed"] is True
    assert world.zoho.is_active(world.cached())


def test_milliseconds_and_a_missing_api_domain_are_understood(make_world):
    world = make_world()
    world.zoho.milliseconds, world.zoho.api_domain = True, False
    assert 3590 <= world.run()["token"]["seconds_left"] <= 3600


def test_a_forced_refresh_is_shared_for_a_while(world):
    world.run()
    assert world.run(state="refreshed")["changed"] is False
    forced = world.run(state="refreshed", max_age=0)
    assert (forced["changed"], forced["reason"]) == (True, "the cached token has 3599 s left")
    assert world.zoho.count("token") == 2


def test_a_token_for_other_credentials_does_not_do(world):
    world.run()
    world.write(ZOHO_SDK_REFRESH_TOKEN=world.zoho.refresh_token(world.app))
    assert "zoho.cache.stale" in world.run(state="observed")["roots"]
    result = world.run()
    assert (result["changed"], world.zoho.count("token")) == (True, 2)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("setting", "value", "error_kind"),
    [
        ("ZOHO_SDK_CLIENT_ID", "1000.UNKNOWN", "client"),
        ("ZOHO_SDK_CLIENT_SECRET", "wrong-secret", "client_secret"),
    ],
)
def test_a_client_that_zoho_refuses_is_reported_without_spending_a_token(
    world, cached, setting, value, error_kind
):
    if cached:
        world.redis.client.set("zoho:access_token", server.make_token(), ex=3000)
    world.write(**{setting: value})
    observed = world.run(state="observed", verify=True)
    assert [(item["id"], item["evidence"]["error_kind"]) for item in observed["findings"]] == [
        ("zoho.token.invalid", error_kind)
    ]
    forms = [form for what, _path, _headers, form in world.zoho.requests if what == "token"]
    assert [form["refresh_token"] == world.refresh_token for form in forms] == [False]
    assert observed["budget"]["used"] == 0


def test_a_client_that_zoho_knows_is_said_so_while_nothing_is_cached(world):
    [item] = world.run(state="observed", verify=True)["findings"]
    assert item["status"] == "skipped"
    assert "knows the client" in item["summary"]
    assert world.zoho.tokens == {}


def test_the_cache_is_cleared_and_tokens_are_revoked(driver, world):
    world.run()
    token = world.cached()
    world.redis.client.set("zoho:refresh_token", "1000.of.former.days")
    observed = world.run(state="observed")
    assert observed["roots"] == ["zoho.cache.stale"]
    assert world.run(state="absent")["changed"] is True
    assert world.cached() is None
    assert world.redis.client.exists("zoho:refresh_token") == 0
    assert world.zoho.is_active(token)
    assert world.run(state="absent")["changed"] is False

    world.run()
    token = world.cached()
    assert world.run(state="absent", revoke="access_token")["revoked"] is True
    assert not world.zoho.is_active(token)
    assert world.run(state="absent", revoke="refresh_token")["revoked"] is True
    assert world.run(state="absent", revoke="refresh_token")["changed"] is False
    assert world.refused()["evidence"]["error_kind"] == "refresh_token"


# -- refusals


@pytest.mark.parametrize(
    ("setting", "value", "error_kind"),
    [
        ("ZOHO_SDK_REFRESH_TOKEN", "1000.dead.token", "refresh_token"),
        ("ZOHO_SDK_CLIENT_ID", "1000.UNKNOWN", "client"),
        ("ZOHO_SDK_CLIENT_SECRET", "wrong-secret", "client_secret"),
        ("ZOHO_SDK_CLIENT_SECRET", "<new-client-secret>", "placeholder"),
        ("ZOHO_SDK_CLIENT_SECRET", None, "mixed"),
        ("ZOHO_SDK_REFRESH_TOKEN", None, "credentials"),
        ("ZOHO_ACCOUNTS_URL", "http://accounts.zoho.com", "plaintext"),
    ],
)
def test_what_is_wrong_with_the_credentials_is_distinguished(world, setting, value, error_kind):
    world.write(**{setting: value})
    finding = world.refused()
    assert (finding["id"], finding["status"], finding["evidence"]["error_kind"]) == (
        "zoho.token.invalid",
        "fail",
        error_kind,
    )
    assert finding["remedy"] == "zoho_credentials"
    if error_kind in ("refresh_token", "client", "client_secret"):
        # No other host requests in vain, and the diagnosis knows without a request.
        assert world.refused()["evidence"]["error_kind"] == error_kind
        assert world.zoho.count("token") == 1
        assert world.run(state="observed")["roots"] == ["zoho.token.invalid"]
        assert world.zoho.count("token") == 1


@pytest.mark.parametrize(
    ("how", "error_kind", "requests"),
    [
        ("page", "page", 1),
        ("bad_gateway", "page", 1),
        ("garbage", "garbage", 1),
        ("list", "garbage", 1),
        ("empty", "garbage", 1),
        ("redirect", "redirect", 1),
        ("unknown_error", "refusal", 1),
        ("no_http", "garbage", None),
        ("error_500", "server", 2),
        ("cut", "closed", 2),
        ("cut_within", "closed", 2),
        ("drip", "hung", 1),
        (5, "hung", 1),
    ],
)
def test_each_way_to_fail_is_distinguished(world, how, error_kind, requests):
    world.zoho.behave("token", how)
    started = time.monotonic()
    finding = world.refused(timeout=1)
    assert time.monotonic() - started < 6
    assert (finding["id"], finding["status"], finding["evidence"]["error_kind"]) == (
        "zoho.token.unknown",
        "unknown",
        error_kind,
    )
    assert finding["advice"]
    if requests:
        assert world.zoho.count("token") == requests


def test_one_cut_connection_is_nothing(world):
    world.zoho.behave("token", "cut", times=1)
    assert world.run()["refreshes"] == 1
    assert world.run()["budget"]["used"] == 2


@pytest.mark.parametrize(
    ("url", "error_kind"), [("https://127.0.0.1:1", "refused"), ("https://no.such.invalid", "dns")]
)
def test_a_server_that_is_not_there(world, url, error_kind):
    world.write(ZOHO_ACCOUNTS_URL=url)
    assert world.refused()["evidence"]["error_kind"] == error_kind


def test_a_certificate_of_an_unknown_authority_gets_no_secret(world):
    finding = world.refused(ca_path=None)
    assert finding["evidence"]["error_kind"] == "issuer"
    assert "self" in finding["summary"]
    assert world.zoho.requests == []


@pytest.mark.parametrize("how", ["throttled", "throttled_200"])
@pytest.mark.parametrize("language", [0, 1, 2])
def test_a_throttled_account_is_left_alone(driver, make_world, how, language):
    world = make_world(language=language)
    world.zoho.behave("token", how)
    finding = world.refused()
    assert (finding["id"], finding["status"], finding["remedy"]) == (
        "zoho.rate_limited",
        "fail",
        "zoho_throttle",
    )
    world.zoho.behave_well()
    again = world.refused()
    assert 590 < again["evidence"]["retry_after"] <= 600
    assert world.zoho.count("token") == 1


def test_the_budget_is_kept_across_runs(driver, make_world):
    world = make_world(limit=10, window=600)
    for _time in range(10):
        world.run(state="refreshed", max_age=0, verify=False)
    finding = world.refused(state="refreshed", max_age=0)
    assert finding["id"] == "zoho.rate_limited"
    assert 580 < world.result["retry_after"] <= 600
    # The one that is cached still does.
    assert world.run()["changed"] is False
    assert world.zoho.count("token") == 10


def test_a_budget_that_is_used_up_can_be_waited_for(make_world):
    world = make_world(limit=2, window=2)
    options = {"budget": 2, "budget_window": 2, "verify": False, "state": "refreshed", "max_age": 0}
    for _time in range(2):
        world.run(**options)
    assert world.refused(**options)["id"] == "zoho.rate_limited"
    assert world.run(**options, on_throttle="wait")["refreshes"] == 1


@pytest.mark.parametrize(
    ("how", "id", "verified"),
    [
        ("limit", "zoho.rate_limited", "rate_limited"),
        ("login", "zoho.token.unknown", "not_arrived"),
    ],
)
def test_what_the_api_says_of_other_things_is_no_reason_to_refresh(world, how, id, verified):
    world.run()
    world.redis.client.hdel("zoho:access_token:record", "verified")
    world.zoho.behave("check", how)
    result = world.run()
    assert (result["changed"], result["token"]["verified"]) == (False, verified)
    assert [item["id"] for item in result["findings"]] == [id]
    assert world.zoho.count("token") == 1


def test_a_scope_that_does_not_reach_is_no_reason_to_refresh(world):
    world.write(
        ZOHO_SDK_REFRESH_TOKEN=world.zoho.refresh_token(world.app, scope="ZohoCRM.modules.ALL")
    )
    for _time in range(2):
        result = world.run()
        assert [(item["id"], item["status"]) for item in result["findings"]] == [
            ("zoho.token.scope", "warn")
        ]
    assert world.zoho.count("token") == 1


def test_a_new_token_that_the_api_rejects_is_not_requested_again(make_world, tmp_path):
    world = make_world()
    elsewhere = server.Server(server.Zoho(), tmp_path)
    world.write(ZOHO_API_URL=elsewhere.url)
    try:
        for _time in range(3):
            assert world.refused(ca_path=str(elsewhere.certificate))["evidence"]["error_kind"] in (
                "dead",
                "tls",
                "issuer",
            )
    finally:
        elsewhere.close()
    assert world.zoho.count("token") <= 1


# -- data centres, by their real names


@pytest.fixture
def real_names(world, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", world.served.proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    world.write(ZOHO_ACCOUNTS_URL=None, ZOHO_API_URL=None)
    return world


@pytest.mark.parametrize("name", list(server.HOSTS))
def test_every_data_centre(real_names, name):
    world = real_names
    world.app.data_centres = (name,)
    result = world.run(data_centre=name)
    assert (result["data_centre"], result["token"]["verified"]) == (name, "alive")
    accounts, api = server.HOSTS[name]
    hosts = [request[1] for request in world.zoho.requests if request[0] == "connect"]
    assert hosts == [f"{accounts}:443", f"{api}:443"]


def test_the_wrong_data_centre_is_named(real_names):
    world = real_names
    world.app.data_centres = ("eu",)
    finding = world.refused(find_data_centre=True)
    assert finding["evidence"]["error_kind"] == "client"
    assert "eu" in finding["advice"]
    assert world.result["client_data_centres"] == ["eu"]
    # The others have not seen the refresh token, and no token was spent.
    seen = [
        form["refresh_token"]
        for what, _path, headers, form in world.zoho.requests
        if what == "token"
    ]
    assert seen.count(world.refresh_token) == 1
    assert world.zoho.tokens == {}
    observed = world.run(state="observed", find_data_centre=True)
    assert observed["client_data_centres"] == ["eu"]


@pytest.mark.parametrize("how", ["denied", "login", "bad"])
def test_a_proxy_that_lets_nothing_through(real_names, how):
    real_names.zoho.behave("connect", how)
    assert real_names.refused()["evidence"]["error_kind"] == "proxy"


def test_a_netrc_does_not_replace_the_token(real_names, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine www.zohoapis.com login another password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert real_names.run()["token"]["verified"] == "alive"


# -- Zoho's own client, which shows that the server of these tests is like Zoho

#: Imports it once, which takes seconds, and forks a child for each request.
SDK = """
import json, os, sys
from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.crm.api.dc import EUDataCenter
from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer
from zohocrmsdk.src.com.zoho.crm.api.parameter_map import ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.users import GetUsersParam, UsersOperations

def answer(request):
    os.environ.clear()
    os.environ.update(request["environment"])
    # It leaves its tokens in the directory that it runs in.
    os.chdir(request["directory"])
    try:
        return query(request["credentials"])
    except Exception as error:
        return {"error": repr(error) + str(error)}

def query(credentials):
    token = OAuthToken(**credentials, find_user=False)
    Initializer.initialize(EUDataCenter.PRODUCTION(), token)
    users = ParameterMap()
    users.add(GetUsersParam.type, "CurrentUser")
    reply = UsersOperations().get_users(users)
    found = reply.get_object()
    if hasattr(found, "get_users"):
        emails = [user.get_email() for user in found.get_users()]
        return {"emails": emails, "expires": token.get_expires_in()}
    return {"code": found.get_code().get_value(), "status": reply.get_status_code()}

for line in sys.stdin:
    child = os.fork()
    if not child:
        print(json.dumps(answer(json.loads(line))), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def run_sdk(tmp_path_factory):
    """Return a function that requests the user of a token by Zoho's own client."""
    process = subprocess.Popen(
        [sys.executable, "-c", SDK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )

    def run(world, **credentials):
        known = {
            "client_id": world.app.id,
            "client_secret": world.app.secret,
            "refresh_token": world.refresh_token,
        }
        request = {
            "credentials": {**known, **credentials},
            "environment": {**os.environ, "REQUESTS_CA_BUNDLE": str(world.served.certificate)},
            "directory": str(tmp_path_factory.mktemp("sdk")),
        }
        process.stdin.write(json.dumps(request) + "\n")
        answer = process.stdout.readline()
        assert answer, "the client has ended"
        return json.loads(answer)

    yield run
    process.stdin.close()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("milliseconds", [False, True])
def test_the_sdk_and_the_module_read_the_same_replies(real_names, run_sdk, milliseconds):
    world = real_names
    world.app.data_centres = ("eu",)
    world.zoho.milliseconds = milliseconds
    reply = run_sdk(world)
    assert reply["emails"] == ["ops@example.com"]
    left = int(reply["expires"]) / 1000 - time.time()
    mine = world.run(data_centre="eu")["token"]
    assert mine["verified"] == "alive"
    assert abs(mine["seconds_left"] - left) < 30
    seen = [request[:2] for request in world.zoho.requests]
    # Both send the same requests in the same order.
    assert seen[:4] == seen[4:]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"refresh_token": "1000.a.b"}, "invalid_code"),
        ({"client_id": "1000.UNKNOWN"}, "invalid_client"),
        ({"client_secret": "wrong"}, "invalid_client_secret"),
    ],
)
def test_the_sdk_hears_the_same_refusals(real_names, run_sdk, wrong, code):
    real_names.app.data_centres = ("eu",)
    assert code in run_sdk(real_names, **wrong)["error"]


def test_the_sdk_hears_of_the_scope(real_names, run_sdk):
    world = real_names
    world.app.data_centres = ("eu",)
    token = world.zoho.refresh_token(world.app, scope="ZohoCRM.modules.ALL")
    reply = run_sdk(world, refresh_token=token)
    assert reply == {"code": "OAUTH_SCOPE_MISMATCH", "status": 401}


# -- as Ansible runs it


def test_the_module_in_a_separate_process(world, run_module):
    result = run_module("zoho_token", world.options())
    assert (result["changed"], result["refreshes"], result["driver"]) == (True, 1, "redis-py")
    assert run_module("zoho_token", world.options())["changed"] is False
    assert_no_secret(world, json.dumps(result))
    world.zoho.revoke(world.refresh_token)
    refused = run_module("zoho_token", world.options(state="refreshed", max_age=0))
    assert refused["failed"] is True
    assert "refresh token is dead" in refused["msg"]
    assert refused["roots"] == ["zoho.token.invalid"]
    assert_no_secret(world, json.dumps(refused))
    # A diagnosis fails for nothing.
    world.write(ZOHO_SDK_CLIENT_ID=None)
    observed = run_module("zoho_token", world.options(state="observed"))
    assert observed.get("failed") is None
    assert observed["findings"][0]["evidence"]["error_kind"] == "mixed"


def test_a_token_is_returned_only_to_a_task_that_does_not_log(world, run_module):
    refused = run_module("zoho_token", world.options(return_token=True))
    assert "no_log" in refused["msg"]
    assert world.zoho.requests == []
    result = run_module("zoho_token", world.options(return_token=True, _ansible_no_log=True))
    assert result["access_token"] == world.cached()


WITHOUT = """
import runpy, sys
sys.modules["requests"] = sys.modules["redis"] = None
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def test_a_host_needs_no_library(world):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(CHECKOUT / "plugins/modules/zoho_token.py")],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": world.options()}),
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / ".build")},
        capture_output=True,
        text=True,
        check=False,
    )
    result = json.loads(done.stdout)
    assert (result["refreshes"], result["driver"]) == (1, "resp")
    assert world.zoho.is_active(world.cached())


def test_nothing_secret_is_seen_with_all_that_ansible_can_say(world, tmp_path):
    options = {**world.options(), "client_id": world.app.id}
    options.update(client_secret=world.app.secret, refresh_token=world.refresh_token)
    variables = tmp_path / "variables.json"
    known = {"options": options, "ansible_python_interpreter": sys.executable}
    variables.write_text(json.dumps(known))
    playbook = tmp_path / "play.yml"
    states = ("valid", "refreshed", "observed", "absent")
    given = "{{ options | combine({'state': '%s', 'max_age': 0}) }}"
    play = {"hosts": "localhost", "gather_facts": False}
    play["tasks"] = [{"sergas.ops.zoho_token": given % state} for state in states]
    playbook.write_text(json.dumps([play]))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-vvvvv", "--diff"]
    command += ["-i", "localhost,", "-c", "local"]
    command += [str(playbook), "-e", f"@{variables}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    output = done.stdout + done.stderr
    assert "ok=%d " % len(states) in output
    assert "zoho.token.ok" in output
    assert_no_secret(world, output)
    # Nothing of it was in a URL, where servers and proxies log it.
    for _what, path, _headers, _form in world.zoho.requests:
        assert_no_secret(world, path)


# -- without Redis


@pytest.fixture
def alone(world, monkeypatch, tmp_path):
    from ansible_collections.sergas.ops.plugins.module_utils._zoho import host_store

    monkeypatch.setattr(host_store, "_DIRECTORY", str(tmp_path))
    world.write(REDIS_HOST=None)
    return world


def test_one_host_goes_on_without_redis_and_says_so(alone):
    result = alone.run()
    assert (result["coordination"], result["driver"], result["refreshes"]) == ("host", None, 1)
    assert "run_once" in result["warnings"][0]
    for _time in range(9):
        alone.run()
    assert alone.refused()["id"] == "zoho.rate_limited"
    assert alone.zoho.count("token") == 10
    assert alone.run(state="observed")["roots"] == ["zoho.rate_limited"]


def test_a_redis_that_is_down_is_not_taken_for_none(driver, world):
    world.write(REDIS_PORT=1)
    finding = world.refused(deadline=2)
    assert (finding["status"], finding["evidence"]["error_kind"]) == ("unknown", "store")
    assert world.zoho.requests == []
    assert world.run(state="observed")["findings"][0]["evidence"]["error_kind"] == "store"
    result = world.run(deadline=2, on_redis_failure="proceed")
    assert (result["coordination"], result["refreshes"]) == ("host", 1)


def test_a_wrong_password_of_redis(driver, world):
    world.write(REDIS_PASSWORD="another-password")
    finding = world.refused()
    assert "password" in finding["summary"]
    assert world.zoho.requests == []


def test_redis_over_tls_and_with_a_dedicated_user(driver, make_world, tmp_path):
    (tmp_path / "redis").mkdir()
    certificate = server.make_certificate(tmp_path / "redis")
    store = RedisServer(tmp_path / "redis", password=REDIS_PASSWORD, certificate=certificate)
    try:
        world = make_world(store)
        world.write(REDIS_PORT=store.tls_port, REDIS_SSL="true")
        assert "self" in world.refused(deadline=3)["summary"]
        assert world.zoho.requests == []
        trusted = {"redis_ca_path": str(certificate)}
        assert world.run(**trusted)["refreshes"] == 1
        grants = (
            "on >a-password-of-its-own ~zoho:* +eval +time +get +set +del +exists +pttl +pexpire"
        )
        grants += " +hget +hset +hgetall +zadd +zrange +zscore +zremrangebyscore"
        store.client.execute_command("ACL", "SETUSER", "ops", *grants.split())
        own = {**trusted, "redis_user": "ops", "redis_password": "a-password-of-its-own"}
        assert world.run(**own)["changed"] is False
        assert world.run(state="refreshed", max_age=0, **own)["refreshes"] == 1
        assert world.run(state="absent", **own)["changed"] is True
    finally:
        store.stop()


def test_redis_by_its_unix_socket(driver, world):
    address = f"unix://:{REDIS_PASSWORD}@{world.redis.socket}?db=5"
    world.write(REDIS_HOST=None, REDIS_PORT=None, REDIS_PASSWORD=None, REDIS_URL=address)
    assert world.run()["refreshes"] == 1
    assert world.run(state="observed")["roots"] == []
    assert world.cached() is None
    world.redis.client.select(5)
    try:
        assert world.zoho.is_active(world.cached())
    finally:
        world.redis.client.select(0)


def test_sentinels_need_redis_py(driver, world):
    # None of these exists.
    address = f"redis+sentinel://:{REDIS_PASSWORD}@127.0.0.1:1,127.0.0.1:2/mymaster/0"
    world.write(REDIS_HOST=None, REDIS_PORT=None, REDIS_PASSWORD=None, REDIS_URL=address)
    finding = world.refused(deadline=2)
    kind = "store" if driver == "redis-py" else "driver"
    assert (finding["status"], finding["evidence"]["error_kind"]) == ("unknown", kind)
    assert ("needs redis-py" in finding["summary"]) == (driver == "resp")
    assert world.zoho.requests == []
    assert world.run(state="observed")["findings"] == [finding]


def test_a_url_of_sentinels_that_is_no_url(world):
    world.write(REDIS_HOST=None, REDIS_URL=f"redis+sentinel://:{REDIS_PASSWORD}@host")
    finding = world.refused()
    assert (finding["status"], finding["evidence"]["error_kind"]) == ("unknown", "store")
    assert "REDIS_URL" in finding["summary"]


# -- a fleet

#: Imports once, then forks hosts: 50 starts of Python would measure this machine and nothing else.
#: Every second one has no redis-py.
FLEET = """
import io, json, os, sys, time
from ansible.module_utils import basic
from ansible_collections.sergas.ops.plugins.module_utils._net import redis
from ansible_collections.sergas.ops.plugins.modules import zoho_token
redis.driver()
plan = json.load(sys.stdin)
go = time.monotonic() + 0.5
children = []
for number, host in enumerate(plan["hosts"]):
    child = os.fork()
    if child:
        children.append(child)
        print(child, flush=True)
        continue
    out = os.path.join(plan["directory"], "%d.out" % number)
    os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT, 0o600), 1)
    skew, true_time = host.pop("skew", 0), time.time
    time.time = lambda: true_time() + skew
    if number % 2:
        redis._library = lambda: None
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": host}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    time.sleep(max(0, go - time.monotonic()))
    try:
        zoho_token.main()
    finally:
        sys.stdout.flush()
        os._exit(0)
for child in children:
    os.waitpid(child, 0)
"""


class Fleet:
    """Hosts that run the module at the same time, each in a separate process."""

    def __init__(self, world, directory, hosts):
        self.world, self.directory, self.hosts = world, directory, hosts
        directory.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-c", FLEET],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT / ".build")},
        )
        json.dump({"hosts": hosts, "directory": str(directory)}, self.process.stdin)
        self.process.stdin.close()
        self.pids = [int(self.process.stdout.readline()) for _time in hosts]

    def results(self):
        """Return the results of the hosts that lived to give one."""
        self.process.wait(120)
        errors = self.process.stderr.read()
        outputs = [
            (self.directory / f"{number}.out").read_text() for number in range(len(self.hosts))
        ]
        assert_no_secret(self.world, errors + "".join(outputs))
        assert not errors
        return [json.loads(text) for text in outputs if text]


@pytest.fixture
def start_fleet(tmp_path):
    fleets = []

    def start(world, count=HOSTS, skew=None, **options):
        options.setdefault("verify", False)
        hosts = [world.options(**options) for _time in range(count)]
        for number, host in enumerate(hosts):
            host["skew"] = skew(number) if skew else 0
        fleets.append(Fleet(world, tmp_path / f"fleet{len(fleets)}", hosts))
        return fleets[-1]

    yield start
    for fleet in fleets:
        fleet.process.kill()
        fleet.process.wait()
        fleet.process.stdout.close()
        fleet.process.stderr.close()


def all_have_it(results, world, count=HOSTS):
    assert [result.get("msg") for result in results if result.get("failed")] == []
    assert len(results) == count
    assert len({result["token"]["fingerprint"] for result in results}) == 1
    assert world.zoho.is_active(world.cached())


@pytest.mark.parametrize("cached", ["nothing", "dead"])
def test_fifty_hosts_at_once_refresh_once(world, start_fleet, cached):
    if cached == "dead":
        world.redis.client.set("zoho:access_token", server.make_token(), px=1000)
    world.zoho.behave("token", 0.5)
    results = start_fleet(world).results()
    all_have_it(results, world)
    assert [result["driver"] for result in results] == ["redis-py", "resp"] * (HOSTS // 2)
    assert world.zoho.count("token") == 1
    assert sum(result["changed"] for result in results) == 1
    assert sum(result["refreshes"] for result in results) == 1


def test_fifty_hosts_whose_token_the_api_rejects_refresh_once(world, start_fleet):
    rejected = server.make_token()
    world.redis.client.set("zoho:access_token", rejected, ex=3000)
    results = start_fleet(world, verify=True).results()
    all_have_it(results, world)
    assert world.cached() != rejected
    assert world.zoho.count("token") == 1
    # What one host has just requested of the API, the others need not.
    assert world.zoho.count("check") < 2 * HOSTS


def test_clocks_that_differ_by_minutes_do_not_matter(world, start_fleet):
    world.zoho.behave("token", 0.3)
    results = start_fleet(world, count=20, skew=lambda number: (number - 10) * 180).results()
    all_have_it(results, world, 20)
    assert world.zoho.count("token") == 1
    again = start_fleet(world, count=10, skew=lambda number: (number - 5) * 600).results()
    assert not any(result["changed"] for result in again)
    assert world.zoho.count("token") == 1


def test_fifty_hosts_hear_of_one_refusal(world, start_fleet):
    world.write(ZOHO_SDK_REFRESH_TOKEN="1000.dead.refresh")
    world.zoho.behave("token", 0.3)
    results = start_fleet(world).results()
    assert all(result["failed"] for result in results)
    assert {result["findings"][-1]["evidence"]["error_kind"] for result in results} == {
        "refresh_token"
    }
    assert world.zoho.count("token") == 1


def test_a_holder_that_is_killed_costs_one_more(world, start_fleet):
    world.zoho.behave("token", 2.5, times=1)
    fleet = start_fleet(world, count=20)
    until(lambda: world.zoho.count("token") == 1)
    # The holder is the one with a connection to Zoho.
    holder = connected_to(world.served.port, fleet.pids)
    os.kill(holder, signal.SIGKILL)
    results = fleet.results()
    all_have_it(results, world, 19)
    assert world.zoho.count("token") == 2


def test_a_holder_that_was_suspended_replaces_nothing(world, start_fleet):
    world.zoho.behave("token", 1, times=1)
    fleet = start_fleet(world, count=2, timeout=1)
    until(lambda: world.zoho.count("token") == 1)
    holder = connected_to(world.served.port, fleet.pids)
    os.kill(holder, signal.SIGSTOP)
    try:
        until(lambda: world.zoho.count("token") == 2)
        until(world.cached)
        newer = world.cached()
    finally:
        os.kill(holder, signal.SIGCONT)
    fleet.results()
    assert world.cached() == newer


@pytest.mark.parametrize("durable", [True, False])
def test_redis_is_restarted_in_the_middle(make_world, start_fleet, tmp_path, durable):
    (tmp_path / "redis").mkdir()
    options = ("--appendonly", "yes", "--appendfsync", "always") if durable else ()
    store = RedisServer(tmp_path / "redis", *options, password=REDIS_PASSWORD)
    try:
        world = make_world(store)
        world.zoho.behave("token", 1.5, times=1)
        fleet = start_fleet(world, count=20)
        until(lambda: world.zoho.count("token") == 1)
        store.stop()
        time.sleep(0.5)
        store.start()
        results = fleet.results()
        all_have_it(results, world, 20)
        assert world.zoho.count("token") <= 2
    finally:
        store.stop()


def connected_to(port, pids):
    """Return which of the processes has a connection to a port of this machine."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2] == f"0100007F:{port:04X}" and fields[3] == "01":
            inodes.add(f"socket:[{fields[9]}]")
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(link) in inodes:
                    return pid
            except OSError:
                continue
    raise AssertionError("no process is connected")
