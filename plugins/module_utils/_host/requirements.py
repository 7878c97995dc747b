# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the app's requirement files name."""

from __future__ import annotations

import glob
import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import files


def read(directory):
    """Return {name in lower case: its line} of the app's requirement files; there may be none."""
    found = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(directory), "requirements*.txt"))):
        try:
            lines = files.read_text(path).splitlines()
        except OSError:
            continue
        for line in lines:
            match = re.match(r"\s*([A-Za-z0-9][\w.-]*)", line)
            if match:
                found.setdefault(
                    match.group(1).lower().replace("_", "-"), line.split("#")[0].strip()
                )
    return found
