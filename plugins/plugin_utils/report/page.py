# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.html: one page that holds all it needs, and requests nothing.

Jinja2 escapes whatever comes from a host. On top of that the page's own policy (CSP) allows no
script and no style but the two in it, named by their hashes, and no request at all.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import os
from collections.abc import Iterable
from html import escape
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ansible_collections.sergas.ops.plugins.plugin_utils.report import page_view
from ansible_collections.sergas.ops.plugins.plugin_utils.report.terminal import moment

_DIRECTORY = os.path.dirname(os.path.abspath(__file__))


def render(model: dict[str, Any]) -> str:
    """Return the model as one HTML page."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        "default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; base-uri 'none';"
        " form-action 'none'" % (_digest(style), _digest(script))
    )
    template = _environment().get_template("page.html.j2")
    pieces = template.generate(style=style, script=script, policy=policy, **page_view.view(model))
    # All pieces at once would set off Python's garbage collector, which takes as long as the page.
    page = iter(lambda: "".join(itertools.islice(pieces, 500)), "")
    # No page may hold a NUL, not even as a reference: browsers differ in what becomes of it.
    return "".join(page).replace("\0", "\ufffd")


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(_DIRECTORY),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = moment
    environment.filters["anchored"] = page_view.anchored
    environment.filters["rows"] = _rows
    return environment


def _rows(rows: Iterable[Iterable[str]], markup: str) -> Markup:
    """Return a piece of markup for each row, each ``%s`` in it replaced by a value, escaped.

    For what a report has tens of thousands of: one by one Jinja2 escapes them in five times the
    time. A NUL, which no page may hold, keeps the values apart meanwhile.
    """
    values = [value.replace("\0", "\ufffd") for row in rows for value in row]
    escaped = escape("\0".join(values)).split("\0") if values else ()
    return Markup(markup * (len(values) // markup.count("%s")) % tuple(escaped))  # noqa: S704


@functools.cache
def _asset(name: str) -> str:
    with open(os.path.join(_DIRECTORY, name), encoding="utf-8") as file:
        return file.read()


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
