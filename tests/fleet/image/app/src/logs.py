# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both log styles of the service: structlog's JSON and key=value text, one object a line."""

from __future__ import annotations

import json
import logging
import re
import sys

import structlog


def configure(style: str, level: str) -> None:
    """Set up the service's own log.

    style: "json" or "text"; level: a name that the standard library's logging knows.
    """
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if style == "json":
        chain = [stamp, structlog.processors.JSONRenderer()]
    else:
        chain = [stamp, structlog.processors.add_log_level, _text]
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )


def _text(_logger, _name, event: dict) -> str:
    head = "%s %s %s" % (event.pop("timestamp"), event.pop("level").upper(), event.pop("event"))
    return " ".join([head] + ["%s=%s" % (key, _value(value)) for key, value in event.items()])


def _value(value) -> str:
    """Quote what would read as more than one word, so that a caller cannot forge a key."""
    text = str(value)
    return text if re.fullmatch(r"[^\s\"=]+", text) else json.dumps(text)


log = structlog.get_logger()
