# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be said of the tests on the reference fleet without one."""

from __future__ import annotations

from pathlib import Path

FLEET = Path(__file__).resolve().parents[2] / "fleet"
#: Those of Zoho: test_zoho.py makes each of them with a faithful Zoho.
ZOHO = ("12_", "13_")


def test_each_fault_has_a_case():
    cases = "".join(path.read_text() for path in FLEET.glob("test_*.py"))
    names = [path.name for path in (FLEET / "faults").glob("[0-9][0-9]_*")]
    assert len(names) > 60
    assert [
        name for name in names if not name.startswith(ZOHO) and '"%s"' % name not in cases
    ] == []
