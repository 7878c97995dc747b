# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observation
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._health import recording
from ansible_collections.sergas.ops.plugins.module_utils._host import ufw

RULE = ufw.Firewall(True, True, "deny", [("allow", 22)])


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        1.5,
        math.inf,
        "text",
        [1, (2, 3)],
        {"a": {"b": ("c",)}},
        {8000: "port", ("x", 1): None},
        {1, "two"},
        {"$type": "no type"},
        RULE,
        {"rules": [RULE]},
    ],
)
def test_what_json_has_no_type_for_comes_back_as_it_was(value):
    back = recording.decode(json.loads(json.dumps(recording.encode(value))))
    assert back == value and type(back) is type(value)


@pytest.mark.parametrize("value", [b"bytes", object(), {"a": [SimpleNamespace()]}])
def test_what_is_no_plain_data_is_refused(value):
    with pytest.raises(TypeError, match="may hold no"):
        recording.encode(value)


@pytest.mark.parametrize("kind", ["_host.unit:read", "_core.process:os", "_core.finding:Finding"])
def test_a_recording_makes_no_other_objects(kind):
    with pytest.raises(TypeError, match="no named tuple"):
        recording.decode({"$type": kind, "of": []})


def context(**changes):
    values = dict.fromkeys(recording._OF_CONTEXT)
    values.update(
        params={"window": 3600, "database_password": "s3cret-of-options", "record": True},
        settings={"DATABASE_HOST": "db1", "ZOHO_SDK_REFRESH_TOKEN": "1000.secret.token"},
        has=lambda component: component == "app",
        secrets=lambda: ["s3cret-of-options", "hidden-value"],
    )
    return SimpleNamespace(**{**values, **changes})


def observed(value, **more):
    observation = Observation()
    observation.value = value
    observation.__dict__.update(more)
    return observation


def test_a_recording_has_what_checks_need_and_no_secret():
    seen = {
        "logs": observed({"lines": ["key hidden-value refused"]}, gaps={"lines": "cut"}),
        "redis": observed(None, error="no answer", reason="timeout"),
    }
    recorded = recording.record(context(), seen, ["errors"], [{"remedy": "x"}])
    text = json.dumps(recorded)
    for secret in ("s3cret-of-options", "1000.secret.token", "hidden-value"):
        assert secret not in text
    names, back, observations, changes = recording.read(json.loads(text))
    assert (names, changes) == (["errors"], [{"remedy": "x"}])
    assert observations["logs"].value == {"lines": ["key ******** refused"]}
    assert observations["logs"].gap("lines") == "cut"
    assert (observations["redis"].error, observations["redis"].reason) == ("no answer", "timeout")
    assert back.has("app") and not back.has_any(["redis", "lb"])
    assert back.settings["DATABASE_HOST"] == "db1" and back.params["window"] == 3600


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "version is None"),
        ({"version": 99}, "version is 99"),
        ({"version": recording.VERSION}, "damaged"),
        ({"version": recording.VERSION, "observations": {"x": 1}}, "damaged"),
    ],
)
def test_what_is_no_recording_is_refused_with_the_reason(given, message):
    with pytest.raises(InvalidValue, match=message):
        recording.read(given)


def test_a_header_of_the_options_is_kept_by_its_name_only():
    params = {"latency_headers": {"X-Key": "abc"}, "latency_token": "def"}
    recorded = recording.record(context(params=params), {}, [], None)
    assert recorded["context"]["params"]["latency_headers"] == ["X-Key"]
    assert '"abc"' not in json.dumps(recorded) and '"def"' not in json.dumps(recorded)
