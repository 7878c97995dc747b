# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.json: the model itself, by docs/report.schema.json."""

from __future__ import annotations

import json


def render(model):
    """Return the model as JSON, with one line for each root, finding of the fleet and host.

    So C(grep) and C(diff) work on it, and it is written at the speed of the compact form.
    """
    members = []
    for key, value in model.items():
        listed = isinstance(value, list) and value
        text = "[\n    %s\n  ]" % ",\n    ".join(map(_line, value)) if listed else _line(value)
        members.append("  %s: %s" % (_line(key), text))
    return "{\n%s\n}\n" % ",\n".join(members)


def _line(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
