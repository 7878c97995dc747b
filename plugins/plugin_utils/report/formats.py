# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The formats of a report: one line for each. A renderer takes the model and returns the text of
the file.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.plugin_utils.report import json_document, markdown, page

#: format: (file name, renderer)
FORMATS = {
    "json": ("report.json", json_document.render),
    "html": ("report.html", page.render),
    "md": ("report.md", markdown.render),
}
