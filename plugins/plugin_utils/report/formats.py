# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The formats of a report, a line for each: a renderer takes the model and returns the text of the
file.

``report.json`` is the model itself, by ``docs/report.schema.json``.
"""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.sergas.ops.plugins.plugin_utils.report import markdown, page


def render_json(model: dict[str, Any]) -> str:
    """Return the model as JSON, with one line for each root, finding of the fleet and host.

    This way ``grep`` and ``diff`` work on it, and it is written at the speed of the compact form.
    """
    members = []
    for key, value in model.items():
        listed = isinstance(value, list) and value
        text = "[\n    %s\n  ]" % ",\n    ".join(map(_line, value)) if listed else _line(value)
        members.append("  %s: %s" % (_line(key), text))
    return "{\n%s\n}\n" % ",\n".join(members)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


#: format: (file name, renderer)
FORMATS = {
    "json": ("report.json", render_json),
    "html": ("report.html", page.render),
    "md": ("report.md", markdown.render),
}
