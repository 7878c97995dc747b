# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was captured on hosts of the reference fleet, and the context in which probes decide."""

from __future__ import annotations

import json
import pathlib
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import survey as health_survey
from ansible_collections.sergas.ops.plugins.module_utils._host import app_endpoint, systemctl

FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures"
#: when the machine of the captures had booted, in seconds since the epoch
BOOTED = 1795531320.0435
BOOT = "1b85b8c02cee483a89782e9e363158b6"


@pytest.fixture
def proc():
    """Return a function: the text of a file of /proc as captured."""
    return lambda name: (FIXTURES / "proc" / (name + ".txt")).read_text()


@pytest.fixture
def properties():
    """Return a function: the properties of a unit as `systemctl show` gave them."""
    return lambda name: systemctl.parse((FIXTURES / "unit" / (name + ".txt")).read_text())


@pytest.fixture
def entries():
    """Return a function: the entries of a captured journal, oldest first."""

    def load(name):
        lines = (FIXTURES / "journal" / (name + ".json")).read_text().splitlines()
        return [json.loads(line) for line in reversed(lines)]

    return load


def is_kernel_detail(item):
    """Return whether a journal's entry is read for deaths only, as the probe does."""
    return (item.get("_TRANSPORT"), item.get("PRIORITY")) == ("kernel", "6")


@pytest.fixture
def survey(entries):
    """Return a function: what a captured journal adds up to, read in chunks of a size."""

    def read(journal, unit_properties=None, chunk=10**6, after=20.0, window=3600):
        captured = entries(journal) if isinstance(journal, str) else journal
        now = int(captured[-1]["__REALTIME_TIMESTAMP"]) / 1e6 + after
        reading = health_survey.Survey(now, ("/health", "/metrics"), BOOT, now - BOOTED)
        details = [item for item in captured if is_kernel_detail(item)]
        captured = [item for item in captured if not is_kernel_detail(item)]
        for start in range((len(captured) - 1) // chunk * chunk, -1, -chunk):
            reading.read(captured[start : start + chunk])
        if reading.saw_death:
            reading.read(details)
        result = reading.result(unit_properties or {})
        result.update(window=window, since=now - window, entries=len(captured), skipped=0)
        result.update(truncated=False, oldest=now - window, now=now)
        return result

    return read


@pytest.fixture
def context():
    """Return a function: the context of a decision."""

    def make(unit_properties=None, now=1795534000.0, has_app=True, **overrides):
        return types.SimpleNamespace(
            params={"service": "sergas-app", "window": 3600, "health_path": "/health"},
            thresholds=thresholds.merge(overrides),
            unit=unit_properties or {},
            unit_error=None,
            now=now,
            app_dir="/home/sergas/super-account-manager",
            endpoint=app_endpoint.Endpoint("127.0.0.1", 8000, None, "http", True),
            has=lambda component: has_app,
        )

    return make
