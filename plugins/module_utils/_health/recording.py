# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a diagnosis observed, as plain data that another machine can judge again.

A recording has what the checks need: the observations, and what they read of the context. A host
that records judges the recording itself, not what it was made from, so that a replay finds the same
to the letter. Secrets are masked before anything is kept.
"""

from __future__ import annotations

import importlib
import math

from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observation
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import (
    MASK,
    is_secret_name,
    redact_all,
)
from ansible_collections.sergas.ops.plugins.module_utils._health.context import COMPONENTS

#: Another number where a recording of before cannot be judged any more.
VERSION = 1
#: What the checks read of the context beside ``params`` and ``settings``.
_OF_CONTEXT = (
    "components",
    "thresholds",
    "now",
    "unit",
    "unit_error",
    "environment_error",
    "app_dir",
    "env_file",
    "endpoint",
    "port",
)
_OF_OBSERVATION = ("value", "gaps", "error", "reason", "absent", "seconds")
#: What the names of modules begin with, which differs where this runs as one packed program.
_PACKAGE = __name__.rpartition("_health.")[0]
_TYPE = "$type"


class RecordedContext:
    """The context of a recording: what ``Context`` offers to checks, without a host."""

    def __init__(self, recorded):
        self.__dict__.update(recorded)

    def has(self, component):
        """Return whether a component belonged to the host."""
        return self.present[component]

    def has_any(self, components):
        """Return whether one of the components belonged to the host."""
        return any(self.has(component) for component in components)


def record(context, observations, names, changes):
    """Return a recording: plain data, of JSON's types only.

    Args:
        context: the ``Context`` of the diagnosis.
        observations: {probe: Observation}.
        names: the checks that were selected.
        changes: the entries of the host's ledger, or None.
    """
    kept = {name: getattr(context, name) for name in _OF_CONTEXT}
    kept["present"] = {component: context.has(component) for component in COMPONENTS}
    kept["params"] = _without_secrets(context.params)
    # Of a header that an operator gives, any may be a secret, however short.
    kept["params"]["latency_headers"] = sorted(context.params.get("latency_headers") or ())
    kept["settings"] = _without_secrets(context.settings)
    seen = {
        probe: {name: getattr(observation, name) for name in _OF_OBSERVATION}
        for probe, observation in observations.items()
    }
    data = {"checks": list(names), "context": kept, "observations": seen, "changes": changes}
    return dict(redact_all(encode(data), context.secrets()), version=VERSION)


def read(recording):
    """Return (names of the checks, RecordedContext, {probe: Observation}, changes) of a recording.

    Raises:
        InvalidValue: it is none, or one of another version.
    """
    if not isinstance(recording, dict) or recording.get("version") != VERSION:
        version = recording.get("version") if isinstance(recording, dict) else None
        raise InvalidValue(
            "recording: its version is %r, this collection judges version %d" % (version, VERSION)
        )
    try:
        data = decode({key: value for key, value in recording.items() if key != "version"})
        observations = {}
        for probe, kept in data["observations"].items():
            observations[probe] = Observation()
            observations[probe].__dict__.update({name: kept[name] for name in _OF_OBSERVATION})
        context = RecordedContext(data["context"])
        return data["checks"], context, observations, data["changes"]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidValue("recording: it is damaged: %s" % error) from error


def _without_secrets(pairs):
    return {
        name: MASK if value and isinstance(value, str) and is_secret_name(name) else value
        for name, value in pairs.items()
    }


def encode(value):
    """Return plain data as JSON's types; what JSON has no type for says what it is.

    Args:
        value: None, a bool, number or text, or a list, tuple, set, dictionary or named tuple of
            such.

    Raises:
        TypeError: it holds anything else, which no observation may.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_TYPE: "float", "of": repr(value)}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        kind = type(value)
        if kind is tuple:
            return {_TYPE: "tuple", "of": [encode(item) for item in value]}
        name = "%s:%s" % (kind.__module__.replace(_PACKAGE, "", 1), kind.__name__)
        return {_TYPE: name, "of": [encode(item) for item in value]}
    if isinstance(value, (set, frozenset)):
        return {_TYPE: "set", "of": [encode(item) for item in sorted(value, key=repr)]}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and _TYPE not in value:
            return {key: encode(item) for key, item in value.items()}
        return {_TYPE: "dict", "of": [[encode(key), encode(item)] for key, item in value.items()]}
    raise TypeError("an observation may hold no %s" % type(value).__name__)


def decode(value):
    """Return what ``encode`` was given.

    Raises:
        TypeError: a type that no observation has.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _TYPE not in value:
        return {key: decode(item) for key, item in value.items()}
    kind, items = value[_TYPE], value["of"]
    if kind == "float":
        return float(items)
    if kind == "dict":
        return {decode(key): decode(item) for key, item in items}
    items = [decode(item) for item in items]
    if kind in ("tuple", "set"):
        return tuple(items) if kind == "tuple" else set(items)
    module, _colon, name = kind.partition(":")
    found = getattr(importlib.import_module(_PACKAGE + module), name, None)
    if not (isinstance(found, type) and issubclass(found, tuple) and hasattr(found, "_make")):
        raise TypeError("%s is no named tuple" % kind)
    return found._make(items)
