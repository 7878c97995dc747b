# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of a remedy reads the journal since the remedy began, whenever it runs itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import jinja2
import pytest
import yaml

VARS = Path(__file__).resolve().parents[3] / "roles" / "remediate" / "vars" / "main.yml"
NOW = 1764000000


@pytest.mark.parametrize(
    ("since", "seconds"), [(NOW - 70, "70"), (NOW, "1"), (NOW + 5, "1"), (None, "3600")]
)
def test_the_window_ends_when_the_check_runs(since, seconds):
    environment = jinja2.Environment(autoescape=True)
    environment.globals["now"] = lambda utc: datetime.fromtimestamp(NOW, UTC)
    window = environment.from_string(yaml.safe_load(VARS.read_text())["__remediate_window"])
    state = {"check": {"since": since}}
    assert window.render(sergas_remediate=state, sergas_window=3600) == seconds
