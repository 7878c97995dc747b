# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the app says of Zoho and what Zoho says itself: one root, on a host and for an account."""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._zoho import findings
from ansible_collections.sergas.ops.plugins.plugin_utils.report import fleet, host

ACCOUNTS = "accounts.zoho.eu:443"
CACHE = "10.0.0.7:6379"


def by_app(state="unauthenticated", id="zoho.token.invalid"):
    return finding(
        id, "zoho", "fail", "The app says so", evidence={"target": ACCOUNTS, "reported": state}
    )


def by_zoho(kind, account="a1", target=ACCOUNTS):
    return findings.problem(kind, "it says so", target, {"account": account})


def good(account="a1"):
    return findings.good(3600000, True, ACCOUNTS, {"account": account})


def bad(id, component="app", **evidence):
    return finding(id, component, "fail", id, evidence=evidence)


def causes_of(*findings):
    return [item["cause"] for item in host.join(list(findings))]


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("refresh_token", "zoho.token.invalid"),
        ("client", "zoho.token.invalid"),
        ("dead", "zoho.token.invalid"),
        ("throttled", "zoho.rate_limited"),
        ("rate_limited", "zoho.rate_limited"),
        ("dns", "zoho.token.unknown"),
        ("tls", "zoho.token.unknown"),
    ],
)
def test_what_the_app_reports_derives_from_what_zoho_answers(reason, cause):
    assert causes_of(by_app(), by_zoho(reason)) == [cause, None]


@pytest.mark.parametrize("reason", ["store", "busy"])
def test_a_cache_that_cannot_be_queried_explains_no_bad_token(reason):
    assert causes_of(by_app(), by_zoho(reason)) == [None, None]


def test_a_token_that_is_good_leaves_the_apps_word_a_root():
    assert causes_of(by_app(), good()) == [None, None]


def test_a_store_that_cannot_be_used_is_a_matter_of_redis():
    redis = bad("redis.unreachable", "redis")
    assert causes_of(redis, by_zoho("store")) == [None, "redis.unreachable"]
    assert causes_of(redis, by_zoho("dns")) == [None, None]


@pytest.mark.parametrize(
    ("variables", "cause"),
    [(["ZOHO_SDK_REFRESH_TOKEN"], "app.env.missing"), (["DATABASE_NAME"], None)],
)
def test_credentials_that_are_missing_are_a_matter_of_the_configuration(variables, cause):
    missing = bad("app.env.missing", variables=variables)
    assert causes_of(missing, by_zoho("credentials")) == [None, cause]


def test_errors_and_an_open_circuit_derive_from_what_zoho_says():
    errors = bad("app.errors.rate", kinds={"zoho": 50})
    circuit = bad("zoho.circuit.open", "zoho")
    for symptom in (errors, circuit):
        assert causes_of(symptom, by_zoho("dead")) == ["zoho.token.invalid", None]


def on(name, *findings):
    return {"name": name, "addresses": [name], "findings": list(findings)}


def roots_of(hosts):
    """Return ({(host, index): root}, findings of the fleet)."""
    found, links = fleet.correlate(hosts)
    return {
        (one["name"], index): fleet.resolve(links, (one["name"], index))
        for one in hosts
        for index, item in enumerate(one["findings"])
        if item["status"] in ("warn", "unknown", "fail")
    }, found


def test_two_words_of_one_fault_are_one_root_with_one_remedy():
    hosts = [on("a", by_app(), by_zoho("client_secret"))]
    roots, shared = roots_of(hosts)
    assert set(roots.values()) == {("a", 1)}
    assert shared == []
    assert [item["remedy"] for item in hosts[0]["findings"]] == [None, "zoho_credentials"]


def test_a_limit_is_not_answered_with_a_refresh():
    hosts = [on("a", by_app(), by_zoho("throttled"))]
    roots_of(hosts)
    assert [item["remedy"] for item in hosts[0]["findings"]] == [None, "zoho_throttle"]


def test_one_account_is_one_finding_of_the_fleet():
    hosts = [on(name, by_app(), by_zoho("refresh_token")) for name in "abc"]
    roots, shared = roots_of(hosts)
    assert len(set(roots.values())) == 1
    assert {item["id"] for item in shared} == {"fleet.zoho.token.invalid"}
    assert {item["evidence"]["hosts_bad"] for item in shared} == {3}


def test_what_one_account_is_refused_is_no_matter_of_another():
    hosts = [on(name, good("a1")) for name in "abc"]
    hosts += [on(name, by_zoho("refresh_token", "a2")) for name in "de"]
    _roots, shared = roots_of(hosts)
    assert [(item["id"], item["evidence"]["hosts_using"]) for item in shared] == [
        ("fleet.zoho.token.invalid", 2)
    ]
    assert shared[0]["evidence"]["account"] == "a2"


def test_a_dead_token_is_that_of_the_cache_it_is_in():
    own = [on(name, by_zoho("dead", target="127.0.0.1:6379")) for name in "ab"]
    assert roots_of(own)[1] == []
    common = [on(name, by_zoho("dead", target=CACHE)) for name in "ab"]
    assert [item["evidence"]["target"] for item in roots_of(common)[1]] == [CACHE]
