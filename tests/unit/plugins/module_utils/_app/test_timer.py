# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._app import timer
from ansible_collections.sergas.ops.plugins.module_utils._app.unit import AppError


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/bin/systemctl", "/bin/systemctl"),
        ("two words", '"two words"'),
        ('say "x"', '"say \\"x\\""'),
        ("100%", "100%%"),
        ("$HOME", '"$$HOME"'),
        ("back\\slash", '"back\\\\slash"'),
    ],
)
def test_a_word_of_a_command_stays_one_word(word, written):
    assert timer.quoted(word) == written


def test_a_line_end_cannot_smuggle_a_setting_in():
    with pytest.raises(AppError, match="control"):
        timer.service_text("harmless\nExecStart=/bin/rm", ["/bin/true"])


def test_the_timer_makes_up_for_what_it_missed():
    text = timer.timer_text("Restart", "*-*-* 03:30:00", 900)
    assert "OnCalendar=*-*-* 03:30:00\nPersistent=true\n" in text
    assert "RandomizedDelaySec=900s" in text
    assert "RandomizedDelaySec" not in timer.timer_text("Restart", "daily", 0)


@pytest.mark.parametrize("name", ["../evil", "", "a b", "-x"])
def test_what_is_no_name_of_a_unit_is_refused(name):
    with pytest.raises(AppError, match="no name"):
        timer.Timer(name)
