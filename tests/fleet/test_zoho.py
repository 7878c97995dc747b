# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault of Zoho's, on real hosts that are clients of a faithful Zoho: found, distinguished,
planned, fixed, verified, once; and never with a token more than it takes.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses

import fleet as reference
import playbook
import pytest
import zoho as fleet_zoho
from waves import Waves

WANTED = {
    "sergas_zoho_hosts": "all",
    "sergas_zoho_find_data_centre": True,
    "sergas_skip": playbook.HOST_WIDE,
}


# -- the faults


def expired(world, host):
    """The cached token ends before its entry in the cache does."""
    world.zoho.tokens[world.cached(host)] = 0


def dead_refresh_token(world, host):
    """The refresh token was revoked, and the app has seen that."""
    world.zoho.revoke(world.refresh_tokens[host])
    world.clear(host)
    world.synchronise(host)


def wrong_client(world, host):
    """The id of a client that Zoho does not know."""
    world.set_env(host, ZOHO_SDK_CLIENT_ID="1000.FORMERCLIENTOFTHISAPP")
    world.clear(host)
    world.restart(host, "503")


def wrong_secret(world, host):
    """The secret was renewed in Zoho's console and not in .env."""
    world.set_env(host, ZOHO_SDK_CLIENT_SECRET="former-secret-of-this-client")
    world.clear(host)
    world.restart(host, "503")


def wrong_data_centre(world, host):
    """The account is in Europe, and .env says us."""
    world.apps[host].data_centres = ("eu",)
    world.clear(host)
    world.restart(host, "503")


def stale_cache(world, host):
    """Redis holds old tokens that never expire."""
    world.redis(host, "SET", "zoho:refresh_token", fleet_zoho.server.make_token())
    world.redis(host, "SET", "zoho:access_token", fleet_zoho.server.make_token())


def throttled(world, host):
    """Too many tokens were requested: no more are issued for a while."""
    world.zoho.behave("token", "throttled", app=world.apps[host])
    world.clear(host)
    world.synchronise(host)


def rate_limited(world, host):
    """The API answers 429."""
    world.zoho.behave("check", "limit", app=world.apps[host])
    world.synchronise(host, 3)


def circuit_open(world, host):
    """Zoho was ill, is well again, and the app's breaker stays open."""
    world.set_env(host, CIRCUIT_BREAKER_RECOVERY_TIMEOUT="7200")
    world.restart(host)
    world.zoho.behave("check", "error_500", app=world.apps[host])
    world.synchronise(host, 6)
    world.zoho.behave("check", None, app=world.apps[host])


# -- what fixes them


def new_credentials(world, host):
    """Return the variables of a vault after a new refresh token was made."""
    app = world.apps[host]
    return {
        "sergas_zoho_client_id": app.id,
        "sergas_zoho_client_secret": app.secret,
        "sergas_zoho_refresh_token": world.zoho.refresh_token(app),
    }


def moved_credentials(world, host):
    """Return them, with the data centre that the account is in."""
    return {**new_credentials(world, host), "sergas_zoho_data_centre": "eu"}


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A fault of Zoho's.

    Attributes:
        inject: makes it.
        root: the finding that is its root.
        error_kind: what distinguishes it, None where the log tells.
        remedy: what fixes it.
        requests: how many tokens fixing it requests.
        release: the one it is tried on, unless all are tried on each.
        variables: of the host, made after the fault.
        env: {variable: value} of .env afterwards; None for the one of the vault.
        left: what stays: Zoho's limit ends when Zoho says so.
        outcome: that of the remedy.
    """

    inject: object
    root: str
    error_kind: str
    remedy: str
    requests: int
    release: str
    variables: object = None
    env: dict = dataclasses.field(default_factory=dict)
    left: frozenset = frozenset()
    outcome: str = "kept"


INVALID, LIMITED = "zoho.token.invalid", "zoho.rate_limited"
TIGHT = {"RATE_LIMIT_PER_MINUTE": "50", "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "5"}
VAULT = {"ZOHO_SDK_REFRESH_TOKEN": None, "ZOHO_SDK_CLIENT_ID": None, "ZOHO_SDK_CLIENT_SECRET": None}
EUROPE = {
    **VAULT,
    "ZOHO_SDK_REGION": "eu",
    "ZOHO_ACCOUNTS_URL": "https://accounts.zoho.eu",
    "ZOHO_API_URL": "https://www.zohoapis.eu",
}
CASES = [
    Case(expired, INVALID, "dead", "zoho_refresh", 1, "bullseye"),
    Case(
        dead_refresh_token,
        INVALID,
        "refresh_token",
        "zoho_credentials",
        1,
        "bookworm",
        new_credentials,
        VAULT,
    ),
    Case(
        wrong_client,
        INVALID,
        "client",
        "zoho_credentials",
        1,
        "bullseye",
        new_credentials,
        VAULT,
    ),
    Case(
        wrong_secret,
        INVALID,
        "client_secret",
        "zoho_credentials",
        1,
        "bookworm",
        new_credentials,
        VAULT,
    ),
    Case(
        wrong_data_centre,
        INVALID,
        "client",
        "zoho_credentials",
        1,
        "trixie",
        moved_credentials,
        EUROPE,
    ),
    Case(stale_cache, "zoho.cache.stale", None, "zoho_clear_cache", 1, "bullseye"),
    Case(
        throttled,
        LIMITED,
        "throttled",
        "zoho_throttle",
        0,
        "bookworm",
        env=TIGHT,
        left=frozenset({LIMITED}),
        outcome="unverified",
    ),
    Case(
        rate_limited,
        LIMITED,
        "rate_limited",
        "zoho_throttle",
        0,
        "trixie",
        env=TIGHT,
        left=frozenset({LIMITED}),
        outcome="unverified",
    ),
    Case(
        circuit_open,
        "zoho.circuit.open",
        None,
        "zoho_throttle",
        0,
        "trixie",
        env={**TIGHT, "CIRCUIT_BREAKER_RECOVERY_TIMEOUT": "7200"},
        left=frozenset({"zoho.circuit.open"}),
        outcome="unverified",
    ),
]
PARAMETERS = [(release, case) for case in CASES for release in reference.tried_on(case.release)]


@dataclasses.dataclass
class Outcome:
    """What came of a case: the three runs of fix.yml, and how many tokens Zoho had issued before,
    between and after them.
    """

    host: str
    variables: dict = None
    planned: object = None
    applied: object = None
    again: object = None
    env: dict = None
    cached: str = None
    issued: list = dataclasses.field(default_factory=list)


@pytest.fixture(scope="module")
def outcomes(cases, fleet, fix, world, tmp_path_factory):
    """Return a function that gives the outcome of a case, after running the wave that it is in."""

    def prepare(case, host):
        world.add_client(host)
        case[1].inject(world, host)
        return Outcome(host, case[1].variables(world, host) if case[1].variables else {})

    def run(ready):
        return run_wave(fix, world, ready, tmp_path_factory.mktemp("inventory"))

    return Waves(fleet, cases, prepare, run).of


def run_wave(fix, world, ready, directory):
    """Run fix.yml three times on all hosts of {case: Outcome}, and return it."""
    own = {outcome.host: outcome.variables for outcome in ready.values()}
    given = {"inventory": playbook.inventory(directory / "own.json", own), **WANTED}
    count(world, ready)
    # An app that serves is not restarted without a person.
    restarts = {"zoho_credentials", "zoho_throttle"}
    approved = sorted(restarts & {key[1].remedy for key in ready})
    planned = fix(sorted(own), check=True, sergas_approve=approved, **given)
    count(world, ready)
    applied = fix(sorted(own), sergas_approve=approved, **given)
    count(world, ready)
    again = fix(sorted(own), **given)
    count(world, ready)
    for key, outcome in ready.items():
        outcome.planned, outcome.applied, outcome.again = planned, applied, again
        outcome.env = {name: world.env(outcome.host, name) for name in key[1].env}
        outcome.cached = world.cached(outcome.host)
    return ready


def count(world, ready):
    """Put down how many tokens Zoho has issued to each host by now."""
    for outcome in ready.values():
        app = world.apps[outcome.host]
        mine = [grant for grant in world.zoho.grants.values() if grant.app is app]
        outcome.issued.append(sum(grant.in_window for grant in mine))


def name(case):
    """Name a case for pytest."""
    return "-".join((case[0], case[1].inject.__name__))


@pytest.mark.parametrize("case", PARAMETERS, ids=name)
def test_fault_is_found_and_has_its_reason(case, outcomes):
    outcome = outcomes(case)
    roots = outcome.planned.bad_roots(outcome.host)
    assert {item["id"] for item in roots} == {case[1].root}, outcome.planned.describe(outcome.host)
    if case[1].error_kind:
        assert case[1].error_kind in {item["evidence"].get("error_kind") for item in roots}, roots
    assert {item["remedy"] for item in roots} == {case[1].remedy}
    if case[1].inject is wrong_data_centre:
        assert "data centre eu" in " ".join(item["advice"] for item in roots)


@pytest.mark.parametrize("case", PARAMETERS, ids=name)
def test_check_mode_names_what_is_then_changed_and_spends_no_token(case, outcomes):
    outcome = outcomes(case)
    planned, applied = (
        run.changed.get(outcome.host, {}) for run in (outcome.planned, outcome.applied)
    )
    assert planned, outcome.planned.describe(outcome.host)
    assert list(planned) == list(applied)
    if case[1].requests == 0:
        assert planned == applied
    assert outcome.issued[0] == outcome.issued[1]


@pytest.mark.parametrize("case", PARAMETERS, ids=name)
def test_fault_is_fixed_with_no_token_more_than_it_takes(case, outcomes, world):
    outcome = outcomes(case)
    run, host = outcome.applied, outcome.host
    assert run.outcome(host, case[1].remedy) == case[1].outcome, run.describe(host)
    assert run.roots(host) <= case[1].left, run.describe(host)
    if case[1].requests:
        assert world.zoho.is_active(outcome.cached)
        assert outcome.issued[2] - outcome.issued[1] == case[1].requests
    expected = dict(
        case[1].env,
        **{
            variable: outcome.variables["sergas_zoho_" + variable[len("ZOHO_SDK_") :].lower()]
            for variable, value in case[1].env.items()
            if value is None
        },
    )
    assert outcome.env == expected


@pytest.mark.parametrize("case", PARAMETERS, ids=name)
def test_second_run_changes_nothing(case, outcomes):
    outcome = outcomes(case)
    assert not outcome.again.changed.get(outcome.host), outcome.again.describe(outcome.host)
    assert outcome.issued[3] == outcome.issued[2]


# -- the drivers of Redis

#: In no image, so that the other hosts are without it; from the release's packages.
REDIS_PY = """
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-redis >&2
"""


def test_hosts_with_and_without_redis_py_share_one_token(fleet, world):
    hosts = fleet.fresh_of_each()
    for host in hosts:
        world.join(host)
    # The release with the oldest redis-py; Redis is on the one with the newest server.
    world.run(hosts[0], REDIS_PY)
    app = world.zoho.register("us")
    options = {
        **world.share_redis(hosts[-1]),
        "client_id": app.id,
        "client_secret": app.secret,
        "refresh_token": world.zoho.refresh_token(app),
        "data_centre": "us",
        "deadline": 120,
    }

    def on_all(**more):
        def run(host):
            return playbook.module(host, "sergas.ops.zoho_token", **options, **more)

        with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
            return list(pool.map(run, hosts))

    results = on_all()
    assert [result.get("msg") for result in results] == [None] * len(hosts)
    assert [result["driver"] for result in results] == ["redis-py", *["resp"] * (len(hosts) - 1)]
    assert len({result["token"]["fingerprint"] for result in results}) == 1
    assert [result["token"]["verified"] for result in results] == ["alive"] * len(hosts)
    assert sum(result["refreshes"] for result in results) == 1
    assert sum(grant.in_window for grant in world.zoho.grants.values() if grant.app is app) == 1
    assert not any(result["changed"] for result in on_all())
    # Each host sees what the others have left there.
    assert [result["bad"] for result in on_all(state="observed", verify=True)] == [0] * len(hosts)
