# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import serving


def api(makers, state, status="fail", *statuses):
    return makers.finding("api.health." + state, status, evidence={"statuses": list(statuses)})


def rate(makers, requests, failed, value=None):
    evidence = {"requests": requests, "server_errors": failed}
    details = {} if value is None else {"value": value, "unit": "%"}
    return makers.finding("app.errors.rate", "fail", evidence=evidence, **details)


def test_an_app_that_answers_200_serves_whatever_it_says_of_others(makers):
    for item in (api(makers, "ok", "ok", 200), api(makers, "degraded", "fail", 200, 200)):
        assert serving.interruption([item]) is None and serving.serves_now([item])


@pytest.mark.parametrize(
    ("state", "statuses"),
    [("degraded", [200, 503]), ("failing", [503]), ("unreachable", []), ("invalid", [200])],
)
def test_an_app_that_a_balancer_takes_out_does_not_serve(makers, state, statuses):
    item = api(makers, state, "fail", *statuses)
    assert serving.interruption([item]).startswith("api.health." + state)
    assert not serving.serves_now([item])


@pytest.mark.parametrize("id", ["app.service.down", "app.port.closed", "app.port.conflict"])
def test_an_app_that_is_down_does_not_serve(makers, id):
    # Something else may answer in its place.
    found = [api(makers, "ok", "ok", 200), makers.finding(id, "fail")]
    assert serving.interruption(found) and not serving.serves_now(found)


@pytest.mark.parametrize(
    ("requests", "failed", "value", "serves"),
    [(100, 49, None, True), (100, 50, None, False), (0, 0, None, True), (10, 0, 60.0, False)],
)
def test_an_app_of_which_half_of_the_requests_fail_does_not_serve(
    makers, requests, failed, value, serves
):
    found = [api(makers, "ok", "ok", 200), rate(makers, requests, failed, value)]
    assert (serving.interruption(found) is None) is serves


def test_what_was_not_measured_is_no_reason_to_restart_an_app(makers):
    for found in ([], [makers.finding("api.health.unknown", "unknown")]):
        assert serving.interruption(found) is None and not serving.serves_now(found)
