# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints lines on the terminal, beside whatever callback there is."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from ansible import constants as C
from ansible.utils.display import Display

from ansible_collections.sergas.ops.plugins.plugin_utils.report.terminal import WIDEST

_display = Display()
#: Callbacks whose standard output is for a program.
_MACHINE_READABLE = ("json", "ansible.posix.json", "ansible.posix.jsonl")
#: The width of the terminal. The strategy imports action plugins before it forks: only there is
#: standard output still the terminal.
COLUMNS = _display.columns if sys.stdout.isatty() else WIDEST


def show(lines: Iterable[tuple[str, str | None]]) -> None:
    """Print (text, colour) lines; on standard error where standard output is for a program."""
    aside = C.DEFAULT_STDOUT_CALLBACK in _MACHINE_READABLE
    for text, colour in lines:
        _display.display(text, color=colour, stderr=aside)
