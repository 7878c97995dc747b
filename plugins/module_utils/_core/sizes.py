# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes for people."""

from __future__ import annotations


def size(count: float) -> str:
    """Return a number of bytes for people, 1024-based."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return "%.4g %s" % (count, unit)
        count /= 1024.0
    return "%.4g TiB" % count
