# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings: what a probe has to say about one subject of one host, in one fixed shape."""

from __future__ import annotations

import re

COMPONENTS = (
    "app",
    "api",
    "database",
    "redis",
    "zoho",
    "cognee",
    "host",
    "security",
    "loadbalancer",
)
#: From best to worst. A finding that could not be measured ranks above a warning: it may hide
#: anything.
STATUSES = ("skipped", "ok", "warn", "unknown", "fail")
BAD = ("warn", "unknown", "fail")
CONFIDENCES = ("measured", "estimated", "blind")
MASK = "********"

_SECRET_NAME = (
    r"(?:password|passwd|secret|token|api[_-]?key|authorization|credential|private[_-]?key)"
)
#: Endings of names that speak of a secret: ENCRYPTION_KEY, SENTRY_DSN.
_SECRET_ENDING = r"(?:key|pass|pwd|passphrase|salt|dsn|pem)"
_REDACTIONS = (
    # user:password@host in any URL
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.I), r"\1" + MASK),
    # Zoho's tokens and codes: 1000.<hex>.<hex>
    (re.compile(r"\b1000\.[0-9a-zA-Z]{8,}\.[0-9a-zA-Z]{8,}"), MASK),
    (re.compile(r"\b(bearer|basic|zoho-oauthtoken)(\s+)[^\s\"',;]+", re.I), r"\1\2" + MASK),
    # NAME=value, NAME: value, "name": "value", for names that speak of a secret. Only from where a
    # word
    # begins: tried from each letter of a long one, it would take seconds for a line of 5 kB.
    (
        re.compile(
            r"((?<![\w-])[\w-]*(?:%s[\w-]*|[_-]%s)[\"']?\s*[=:]\s*)"
            r"(\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)" % (_SECRET_NAME, _SECRET_ENDING),
            re.I,
        ),
        r"\1" + MASK,
    ),
)
_SECRET_KEY = re.compile(r"%s|%s\Z" % (_SECRET_NAME, _SECRET_ENDING), re.I)
#: Shorter values would mask ordinary words all over a report.
_SHORTEST_SECRET = 6


class Unmeasurable(Exception):
    """What was to be measured cannot be; the message is the reason, as the report shall give it."""


def finding(id, component, status, summary, **details):
    """Return one finding, with every key of the contract.

    Args:
        id: dotted and stable, C(component.subject.state).
        component: one of COMPONENTS.
        status: one of STATUSES.
        summary: one sentence with the figure and its threshold.
        details: any of value, unit, warn, fail, confidence, evidence, cause, remedy, advice, guide.

    Raises:
        ValueError: for a component, status, confidence or key that the contract does not know, and
            for a blind finding that claims anything but C(unknown).
    """
    if component not in COMPONENTS:
        raise ValueError("component %r is not one of %s" % (component, ", ".join(COMPONENTS)))
    if status not in STATUSES:
        raise ValueError("status %r is not one of %s" % (status, ", ".join(STATUSES)))
    result = {
        "id": id,
        "component": component,
        "status": status,
        "summary": summary,
        "value": None,
        "unit": None,
        "warn": None,
        "fail": None,
        "confidence": "blind" if status == "unknown" else "measured",
        "evidence": {},
        "cause": None,
        "remedy": None,
        "advice": None,
        "guide": None,
    }
    surplus = set(details) - set(result)
    if surplus:
        raise ValueError("a finding has no %s" % ", ".join(sorted(surplus)))
    result.update(details)
    if result["confidence"] not in CONFIDENCES:
        raise ValueError(
            "confidence %r is not one of %s" % (result["confidence"], ", ".join(CONFIDENCES))
        )
    if result["confidence"] == "blind" and status not in ("unknown", "skipped"):
        raise ValueError("finding %s is blind, so its status cannot be %s" % (id, status))
    return result


def grade(value, warn, fail):
    """Return C(ok), C(warn) or C(fail) for a number where more is worse; a threshold may be
    None.
    """
    if fail is not None and value >= fail:
        return "fail"
    if warn is not None and value >= warn:
        return "warn"
    return "ok"


def is_bad(item):
    """Return whether a finding needs somebody's attention: C(unknown) does, it is not ok."""
    return item["status"] in BAD


def roots(findings):
    """Return the bad findings that derive from no other one."""
    return [item for item in findings if is_bad(item) and not item["cause"]]


def is_secret_name(name):
    """Return whether the name of a variable or key says that its value is a secret."""
    return bool(_SECRET_KEY.search(name))


def redact(text, secrets=()):
    """Return text without the given secret values and without what looks like a secret."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


def redact_all(value, secrets=()):
    """Return a copy of plain data (dicts, lists, strings, numbers) with every string redacted."""
    if isinstance(value, dict):
        return {
            redact(key, secrets) if isinstance(key, str) else key: redact_all(item, secrets)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redact_all(item, secrets) for item in value]
    if isinstance(value, str):
        return redact(value, secrets)
    return value
