# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import diagnosis, options
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import (
    Check,
    Observation,
    Observed,
    Probe,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere, finding
from ansible_collections.sergas.ops.plugins.module_utils._core.process import CommandMissing
from ansible_collections.sergas.ops.plugins.module_utils._health import runner
from ansible_collections.sergas.ops.plugins.module_utils._health.checks import CHECKS, PROBES
from ansible_collections.sergas.ops.plugins.modules import sergas_health


class FakeContext:
    def __init__(self, seconds=5, components=None):
        self.deadline = Deadline(seconds)
        self.components = components

    def within(self, seconds):
        return FakeContext(min(seconds, self.deadline.remaining()), self.components)


#: What ``check`` may need or use.
DECLARED = {
    "probe": Probe(None, 5, ("lines", "window")),
    "helper": Probe(None, 5, ("requests",)),
}


def seen(value=None, error=None, absent=False, **gaps):
    observation = Observation()
    observation.value, observation.error, observation.absent = value, error, absent
    observation.gaps = gaps
    return observation


def check(decide, needs=("probe",), belongs=(), uses=(), stands_on=None):
    return Check(decide, needs, "host.thing", "host", belongs, "Guide", uses, stands_on)


def decide(entry, observations, components=None):
    return diagnosis.decide(
        "thing", entry, DECLARED, FakeContext(components=components), observations
    )


def good(context, *observations):
    return [finding("host.thing.ok", "host", "ok", repr(observations))]


def test_every_check_has_its_probes_and_its_place_in_the_manual():
    import yaml

    documented = yaml.safe_load(sergas_health.DOCUMENTATION)["options"]["checks"]["choices"]
    assert documented == list(CHECKS)
    for name, entry in CHECKS.items():
        assert set(entry.needs + entry.uses) <= set(PROBES), name


def test_probes_run_side_by_side():
    barrier = threading.Barrier(2, timeout=5)
    probes = {name: Probe(lambda context: barrier.wait() >= 0, 5) for name in ("one", "two")}
    observed = diagnosis.observe(probes, ["one", "two"], FakeContext())
    assert [observed[name].value for name in ("one", "two")] == [True, True]


def test_a_hanging_probe_is_left_behind_with_a_reason():
    release = threading.Event()
    probes = {
        "hangs": Probe(lambda context: release.wait(30), 0.2),
        "answers": Probe(lambda context: 42, 5),
    }
    observed = diagnosis.observe(probes, ["hangs", "answers"], FakeContext())
    release.set()
    assert observed["hangs"].value is None and "0.2 s" in observed["hangs"].error
    assert observed["answers"].value == 42


def test_the_deadline_of_the_host_bounds_every_probe():
    release = threading.Event()
    observed = diagnosis.observe(
        {"hangs": Probe(lambda context: release.wait(30), 60)}, ["hangs"], FakeContext(0.2)
    )
    release.set()
    # What held is the host's deadline, not the longer limit of the probe.
    assert observed["hangs"].error in ("no answer within 0.2 s", "no answer within 0.1 s")


def test_a_probe_that_breaks_is_unknown_with_its_reason():
    def broken(context):
        raise KeyError("MainPID")

    observed = diagnosis.observe({"probe": Probe(broken, 5)}, ["probe"], FakeContext())
    (item,) = decide(check(good), observed)
    assert (item["status"], item["id"]) == ("unknown", "host.thing.unknown")
    assert "MainPID" in item["summary"]


def test_not_being_allowed_says_what_to_do():
    def denied(context):
        raise PermissionError(13, "Permission denied", "/proc/1/fd")

    observed = diagnosis.observe({"probe": Probe(denied, 5)}, ["probe"], FakeContext())
    (item,) = decide(check(good), observed)
    assert item["status"] == "unknown"
    assert "/proc/1/fd" in item["summary"] and "become" in item["summary"]


def test_a_decision_that_breaks_is_unknown_too():
    def broken(context, value):
        return 1 / 0

    (item,) = decide(check(broken), {"probe": seen(1)})
    assert item["status"] == "unknown" and "ZeroDivisionError" in item["summary"]


def test_what_only_helps_may_be_missing():
    (item,) = decide(
        check(good, uses=("helper",)), {"probe": seen(1), "helper": seen(error="hung")}
    )
    assert item["status"] == "ok" and item["summary"] == "(1, None)"


@pytest.mark.parametrize(
    "components, status, id",
    [(None, "skipped", "host.thing.skipped"), (["redis"], "fail", "host.thing.missing")],
)
def test_what_is_not_here_fails_only_where_it_must_be(components, status, id):
    def absent(context):
        raise NotHere("Redis is not installed")

    observed = diagnosis.observe({"probe": Probe(absent, 5)}, ["probe"], FakeContext())
    (item,) = decide(check(good, belongs=("redis",)), observed, components)
    assert (item["status"], item["id"]) == (status, id)
    assert "Redis is not installed" in item["summary"]


def test_a_probe_says_what_it_did_not_see():
    def partial(context):
        return Observed([1, 2], {"lines": "cut"})

    observed = diagnosis.observe({"p": Probe(partial, 5, ("lines",))}, ["p"], FakeContext())["p"]
    assert (observed.value, observed.error) == ([1, 2], None)
    assert (observed.gap("lines"), observed.gap("window")) == ("cut", None)


def test_a_gap_in_an_aspect_that_no_one_knows_of_is_an_error_not_an_ok():
    probe = Probe(lambda context: Observed(1, {"lines": "cut"}), 5)
    observed = diagnosis.observe({"probe": probe}, ["probe"], FakeContext())
    (item,) = decide(check(good), observed)
    assert item["status"] == "unknown" and "lines" in item["summary"]


def test_an_ok_that_stands_on_a_gap_is_unknown_and_says_what_was_seen():
    (item,) = decide(check(good), {"probe": seen(1, lines="the log goes elsewhere")})
    assert (item["id"], item["status"]) == ("host.thing.unknown", "unknown")
    assert item["reason"] == "gap:probe.lines"
    assert "the log goes elsewhere" in item["summary"]
    assert item["evidence"]["seen"] == ["(1,)"]


def test_a_gap_elsewhere_changes_nothing():
    entry = check(good, stands_on=("probe.window",))
    (item,) = decide(entry, {"probe": seen(1, lines="cut")})
    assert item["status"] == "ok"


@pytest.mark.parametrize(
    ("probe", "helper", "status"),
    [
        (seen(1), seen(1), "ok"),
        (seen(1, lines="cut"), seen(1), "ok"),
        (seen(1), seen(1, requests="none"), "ok"),
        (seen(1, lines="cut"), seen(1, requests="none"), "unknown"),
        (seen(1, lines="cut"), seen(error="hung"), "unknown"),
        (seen(1, lines="cut"), seen(error="not here", absent=True), "unknown"),
    ],
)
def test_one_of_several_aspects_is_enough(probe, helper, status):
    entry = check(good, uses=("helper",), stands_on=(("probe.lines", "helper.requests"),))
    (item,) = decide(entry, {"probe": probe, "helper": helper})
    assert item["status"] == status


def test_what_is_bad_was_seen_whatever_else_was_not():
    def bad(context, value):
        return [
            finding("host.thing.high", "host", "warn", "much", reason="twice"),
            finding("host.other.ok", "host", "ok", "little"),
        ]

    high, unknown = decide(check(bad), {"probe": seen(1, lines="cut")})
    assert (high["status"], high["reason"]) == ("warn", "twice")
    assert high["evidence"] == {"gaps": {"probe.lines": "cut"}}
    assert unknown["status"] == "unknown" and unknown["evidence"]["seen"] == ["little"]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (DeadlineExceeded("late"), "timeout:probe"),
        (CommandMissing("nft"), "command:probe"),
        (PermissionError(13, "denied", "/x"), "permission:probe"),
        (KeyError("x"), "error:probe"),
    ],
)
def test_an_unknown_says_why_in_a_code(failure, reason):
    def fails(context):
        raise failure

    observed = diagnosis.observe({"probe": Probe(fails, 5)}, ["probe"], FakeContext())
    (item,) = decide(check(good), observed)
    assert item["reason"] == reason


def test_every_finding_names_its_section_of_the_guide():
    (item,) = decide(check(good), {"probe": seen(1)})
    assert item["guide"] == "Guide"


def test_checks_and_skip_select():
    assert options.select(["a", "b", "c"], None, None) == ["a", "b", "c"]
    assert options.select(["a", "b", "c"], ["c", "a"], ["a"]) == ["c"]
    with pytest.raises(ValueError, match="a, b"):
        options.select(["a", "b"], ["a"], ["a"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deadline", -1),
        ("deadline", float("nan")),
        ("window", 0),
        ("samples", 101),
        ("port", 65536),
    ],
)
def test_a_number_out_of_its_range_is_named_with_what_is_allowed(name, value):
    with pytest.raises(ValueError, match=r"%s: .* must be from \d+ to \d+" % name):
        options.check_ranges({name: value}, runner.RANGES)


def test_numbers_at_the_ends_of_their_ranges_are_allowed():
    for end in (1, 2):
        options.check_ranges({row[0]: row[end] for row in runner.RANGES}, runner.RANGES)
    options.check_ranges({"port": None}, runner.RANGES)
