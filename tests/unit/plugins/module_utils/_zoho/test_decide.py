# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._zoho import decide, findings
from ansible_collections.sergas.ops.plugins.module_utils._zoho.credentials import digest
from ansible_collections.sergas.ops.plugins.module_utils._zoho.decide import Wanted
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import Verdict
from ansible_collections.sergas.ops.plugins.module_utils._zoho.store import Shared

NOW = 1_760_000_000_000
TOKEN = "1000.a.b"
RECORD = {
    "digest": digest(TOKEN),
    "issued": str(NOW - 600_000),
    "expires": str(NOW + 3_000_000),
    "credentials": "mine",
    "host": "app-1",
    "fence": "1",
}
EMPTY = Shared(NOW, None, None, {}, {}, [], None)
CACHED = EMPTY._replace(token=TOKEN, cached_until=NOW + 2_940_000, record=RECORD)
#: as the app itself caches one
APPS = EMPTY._replace(token=TOKEN, cached_until=NOW + 1_000_000)
WANTED = Wanted("mine", 300_000, NOW - 1000)


def failure(error_kind, ago, until=0):
    return {
        "error_kind": error_kind,
        "message": "said",
        "host": "app-2",
        "at": str(NOW - ago),
        "until": str(NOW + until),
    }


@pytest.mark.parametrize(
    ("shared", "wanted", "action"),
    [
        (CACHED, WANTED, "use"),
        (APPS, WANTED, "use"),
        (EMPTY, WANTED, "refresh"),
        (CACHED, WANTED._replace(min_ttl=3_000_000), "use"),
        (CACHED, WANTED._replace(min_ttl=3_000_001), "refresh"),
        (APPS, WANTED._replace(min_ttl=1_000_001), "refresh"),
        # One without an end may be days old.
        (APPS._replace(cached_until=None), WANTED, "refresh"),
        (CACHED, WANTED._replace(credentials="other"), "refresh"),
        (CACHED, WANTED._replace(rejected=digest(TOKEN)), "refresh"),
        (CACHED, WANTED._replace(rejected=digest("another")), "use"),
        # The record is of an earlier token than the one the app has put there since.
        (CACHED._replace(token="1000.c.d"), WANTED._replace(credentials="other"), "use"),
        (CACHED, WANTED._replace(not_before=NOW - 600_000), "use"),
        (CACHED, WANTED._replace(not_before=NOW - 599_999), "refresh"),
        (APPS, WANTED._replace(not_before=0), "use"),
        (APPS, WANTED._replace(not_before=1), "refresh"),
    ],
)
def test_whether_the_cached_token_does(shared, wanted, action):
    assert decide.choose(shared, wanted).action == action


@pytest.mark.parametrize(
    ("error_kind", "ago", "until", "action"),
    [
        ("refresh_token", 59_999, 0, "failed"),
        ("client", 59_999, 0, "failed"),
        ("client_secret", 60_000, 0, "refresh"),
        # What the network did to a host before this one began is no news.
        ("hung", 1_001, 0, "refresh"),
        ("hung", 1_000, 0, "failed"),
        ("throttled", 1_000_000, 1, "blocked"),
        ("throttled", 100, 0, "refresh"),
    ],
)
def test_what_another_host_was_refused(error_kind, ago, until, action):
    assert (
        decide.choose(EMPTY._replace(failure=failure(error_kind, ago, until)), WANTED).action
        == action
    )
    # A token that does is used, whatever was refused.
    assert (
        decide.choose(CACHED._replace(failure=failure(error_kind, ago, until)), WANTED).action
        == "use"
    )


def test_the_budget():
    spent = [NOW - 500_000 + index * 1000 for index in range(10)]
    choice = decide.choose(EMPTY._replace(spent=spent), WANTED)
    assert (choice.action, choice.wait) == ("blocked", 100_000)
    assert decide.choose(EMPTY._replace(spent=spent[1:]), WANTED).action == "refresh"
    assert decide.choose(CACHED._replace(spent=spent), WANTED).action == "use"


@pytest.mark.parametrize(
    ("spent", "limit", "wait"),
    [
        ([], 1, 0),
        ([NOW], 1, 600_000),
        ([NOW - 599_999], 1, 1),
        ([NOW - 600_000], 1, 0),
        ([NOW - 1, NOW - 2, NOW - 3], 2, 599_998),
        ([NOW - 1, NOW - 2], 3, 0),
    ],
)
def test_how_long_the_budget_is_used_up(spent, limit, wait):
    assert decide.budget_wait(spent, limit, 600_000, NOW) == wait


def test_what_the_api_said_holds_for_a_minute_and_for_that_token():
    verified = CACHED._replace(record={**RECORD, "verified": str(NOW - 59_999)})
    assert decide.is_verified(verified)
    assert not decide.is_verified(CACHED)
    assert not decide.is_verified(
        verified._replace(record={**RECORD, "verified": str(NOW - 60_000)})
    )
    assert not decide.is_verified(verified._replace(token="1000.c.d"))


@pytest.mark.parametrize(
    ("error_kind", "id", "status", "remedy"),
    [
        ("refresh_token", "zoho.token.invalid", "fail", "zoho_credentials"),
        ("client", "zoho.token.invalid", "fail", "zoho_credentials"),
        ("client_secret", "zoho.token.invalid", "fail", "zoho_credentials"),
        ("mixed", "zoho.token.invalid", "fail", "zoho_credentials"),
        ("dead", "zoho.token.invalid", "fail", "zoho_refresh"),
        # Neither limit nor scope is ever answered with a refresh.
        ("throttled", "zoho.rate_limited", "fail", "zoho_throttle"),
        ("rate_limited", "zoho.rate_limited", "fail", "zoho_throttle"),
        ("scope", "zoho.token.scope", "warn", None),
        ("permission", "zoho.token.scope", "warn", None),
        ("tls", "zoho.token.unknown", "unknown", None),
        ("store", "zoho.token.unknown", "unknown", None),
    ],
)
def test_the_finding_for_each_problem(error_kind, id, status, remedy):
    item = findings.problem(error_kind, "so it was said", "accounts.zoho.com:443")
    assert (item["id"], item["status"], item["remedy"]) == (id, status, remedy)
    assert item["evidence"] == {"target": "accounts.zoho.com:443", "error_kind": error_kind}
    assert "so it was said" in item["summary"]
    assert item["advice"]


@pytest.mark.parametrize(
    ("credits", "id"), [(0, "zoho.rate_limited"), (1, "zoho.token.ok"), (None, "zoho.token.ok")]
)
def test_an_answer_that_was_the_last_one(credits, id):
    verdict = Verdict("alive", "the API accepts the token", credits)
    good = findings.finding("zoho.token.ok", "zoho", "ok", "well")
    seen = decide.Observed(CACHED, verdict, {"left": 5}, True, "accounts:443", "redis:6379")
    (item,) = decide.observed_findings(seen, [], [], good)
    assert item["id"] == id
    if credits == 0:
        assert item["evidence"]["api_credits_left"] == 0


def test_a_good_token_says_what_is_known_of_it():
    sure = findings.good(3_000_500, True, "t:443")
    assert (sure["value"], sure["unit"], sure["confidence"]) == (3000, "seconds", "measured")
    assert findings.good(None, False, "t:443")["confidence"] == "estimated"
    assert findings.nothing("none is cached", "t:443")["status"] == "skipped"


@pytest.mark.parametrize(
    ("known", "reasons"),
    [
        ({}, []),
        ({"refresh_token": "another"}, ["its refresh token is not the configuration's"]),
        ({"refresh_token": "mine"}, []),
        (
            {"token": "t", "record": {"digest": digest("t"), "credentials": "others"}},
            ["its token was issued for other credentials"],
        ),
        ({"token": "t"}, ["its token never leaves the cache, so it stays after its end"]),
        ({"token": "t", "cached_until": 5000}, []),
    ],
)
def test_what_is_old_in_a_cache(known, reasons):
    empty = {"now": 1000, "token": None, "cached_until": None, "record": {}, "failure": {}}
    empty.update(spent=[], refresh_token=None)
    shared = Shared(**dict(empty, **known))
    assert decide.staleness(shared, "mine", "ours") == reasons
