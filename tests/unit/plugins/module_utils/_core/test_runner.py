# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module ends: its result, a typed error as its failure, anything else as a traceback."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import errors, files, runner

MODULES = Path(runner.__file__).parents[2] / "modules"


class Ended(BaseException):
    """The module has ended, and the process with it."""


class Module:
    """As much of AnsibleModule as a runner may use."""

    def __init__(self, diff=False):
        self.params = {"name": "x"}
        self._diff = diff
        self.warned = []

    def warn(self, text):
        self.warned.append(text)

    def exit_json(self, **result):
        self.failed, self.result = False, result
        raise Ended

    def fail_json(self, msg, **result):
        self.failed, self.result = True, dict(result, msg=msg)
        raise Ended


def ended(function, *arguments, diff=False, **options):
    module = Module(diff)
    with pytest.raises(Ended):
        runner.run(module, function, *arguments, **options)
    return module


def raising(error):
    def function(params):
        raise error

    return function


def test_the_function_gets_the_options_and_what_else_is_given():
    module = ended(lambda params, check: {"seen": [params["name"], check]}, True)
    assert (module.failed, module.result) == (False, {"changed": False, "seen": ["x", True]})


def test_warnings_are_shown_and_not_returned():
    module = ended(lambda params: {"changed": True, "warnings": ["a", "b"]})
    assert (module.warned, module.result) == (["a", "b"], {"changed": True})


@pytest.mark.parametrize("diff", [False, True])
def test_a_difference_is_returned_where_it_is_wanted(diff):
    module = ended(lambda params: {"diff": {"before": "a", "after": "b"}}, diff=diff)
    assert ("diff" in module.result) == diff


def test_a_failed_result_fails_with_all_it_holds():
    module = ended(lambda params: {"failed": True, "msg": "two are left", "left": [1, 2]})
    assert module.failed
    assert (module.result["msg"], module.result["left"]) == ("two are left", [1, 2])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.OperationError("no"), "no"),
        (errors.InvalidValue("days: -1 is below 0"), "days: -1 is below 0"),
        (
            errors.OperationError("/etc/ufw: denied", "run with become"),
            "/etc/ufw: denied: run with",
        ),
        (files.FileRefused("/x", "it is a device"), "/x is a device"),
    ],
)
def test_a_typed_error_is_the_message(error, message):
    module = ended(raising(error))
    assert module.failed and module.result["msg"].startswith(message)


def test_an_error_carries_what_else_the_result_says():
    module = ended(raising(errors.OperationError("held", holder="run-1")))
    assert module.result == {"msg": "held", "holder": "run-1"}


@pytest.mark.parametrize("function", [raising(errors.OperationError("no")), lambda params: {}])
def test_what_each_result_gets_is_in_a_failure_too(function):
    assert ended(function, always={"invocation": {}}).result["invocation"] == {}


def test_a_missing_library_is_named_as_ansible_does():
    class Missing(errors.OperationError):
        library = "redis"

    message = ended(raising(Missing("for Sentinel"))).result["msg"]
    assert "redis" in message and "for Sentinel" in message and "required Python library" in message


@pytest.mark.parametrize(
    "error", [ValueError("bug"), KeyError("bug"), OSError(5, "I/O"), Exception()]
)
def test_any_other_exception_is_not_caught(error):
    with pytest.raises(type(error)) as caught:
        runner.run(Module(), raising(error))
    assert caught.value is error


def test_modules_are_documentation_an_argument_spec_and_one_call():
    """What ends a module is in one file, so no module ends itself or catches anything."""
    ends = {}
    for path in sorted(MODULES.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        caught = any(isinstance(node, ast.Try) for node in ast.walk(tree))
        if used & {"fail_json", "exit_json", "warn"} or caught:
            ends[path.name] = used & {"fail_json", "exit_json", "warn"}
    assert ends == {}
