# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What real hosts observed is judged as they judged it; without an aspect, no check says ok.

``tests/observations/README.md`` says what each recording is of.
"""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path

import pytest
import replay

from ansible_collections.sergas.ops.plugins.module_utils._core import diagnosis
from ansible_collections.sergas.ops.plugins.module_utils._health import recording
from ansible_collections.sergas.ops.plugins.module_utils._health.checks import CHECKS, PROBES

DIRECTORY = Path(__file__).resolve().parents[1] / "observations"
FILES = sorted(path.stem for path in DIRECTORY.glob("*.json"))
HEALTHY = [name for name in FILES if name.startswith("healthy-")]
ASPECTS = [
    (check, alternatives)
    for check, entry in CHECKS.items()
    for alternatives in entry.aspects(PROBES)
]


@functools.lru_cache(None)
def recorded(name):
    return json.loads((DIRECTORY / (name + ".json")).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_a_recording_is_judged_as_its_host_judged_it(name):
    result = recorded(name)
    assert replay.differences(result["findings"], replay.findings(result)) == []


def decided(check, observations, context):
    return diagnosis.decide(check, CHECKS[check], PROBES, context, observations)


def healthy(name):
    """Return (context, observations) of a healthy host, with what is only observed where something
    is bad from a host where that was so.
    """
    _names, context, observations, _changes = recording.read(recorded(name)["recording"])
    for other in FILES:
        more = recording.read(recorded(other)["recording"])[2]
        observations = {**more, **observations}
    return context, observations


def without(observations, aspect):
    """Return the observations with a gap in one aspect."""
    probe, _dot, name = aspect.partition(".")
    changed = copy.copy(observations[probe])
    changed.gaps = dict(changed.gaps, **{name: "taken away"})
    return dict(observations, **{probe: changed})


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize(("check", "alternatives"), ASPECTS)
def test_no_check_says_ok_without_an_aspect_that_it_stands_on(name, check, alternatives):
    context, observations = healthy(name)
    before = {item["status"] for item in decided(check, observations, context)}
    for aspect in alternatives:
        observations = without(observations, aspect)
    after = decided(check, observations, context)
    assert "ok" not in {item["status"] for item in after}
    if "ok" in before:
        assert "gap:" + alternatives[0] in {item["reason"] for item in after}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize(
    ("check", "probe"), [(check, probe) for check in CHECKS for probe in CHECKS[check].needs]
)
def test_no_check_says_ok_without_a_probe_that_it_needs(name, check, probe):
    context, observations = healthy(name)
    failed = diagnosis.Observation()
    failed.error, failed.reason = "taken away", "error"
    (item,) = decided(check, dict(observations, **{probe: failed}), context)
    assert (item["status"], item["reason"]) == ("unknown", "error:" + probe)


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_names_what_its_ok_stands_on_or_why_nothing_can_be_missing(check):
    entry = CHECKS[check]
    aspects = {aspect for group in entry.aspects(PROBES) for aspect in group}
    assert bool(aspects) != bool(entry.complete)
    for aspect in aspects:
        probe, _dot, name = aspect.partition(".")
        assert probe in entry.needs + entry.uses and name in PROBES[probe].aspects
