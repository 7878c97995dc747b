# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue of remedies: what each one answers, changes, interrupts and needs. Pure.

A remedy is a file with metadata and a file with tasks, both named after it. Whatever is wrong with
the metadata is said before a host is touched.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any, NoReturn, TypedDict

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import COMPONENTS
from ansible_collections.sergas.ops.plugins.plugin_utils import renamed

#: What a remedy does to the service while it acts. The first one is not counted against the share
#: of hosts, the last one is only taken when it is named.
IMPACTS = ("none", "reload", "restart", "disruptive")
#: The impacts that interrupt a service: what guards hold back outside of a maintenance window, and
#: where a cause is the fleet's.
INTERRUPTING = ("restart", "disruptive")
RUNS_ON = ("host", "target")
#: Services that a cluster manager may own.
ACTS_ON = (None, "database", "redis")

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_ID = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_REQUIRED = (
    "title",
    "answers",
    "changes",
    "impact",
    "reversible",
    "component",
    "undo",
    "verification",
)
_OPTIONAL = {
    "runs_on": "host",
    "after_dependencies": False,
    "restarts_app": None,
    "useless": [],
    "acts_on": None,
    "needs": {"approval": False, "variables": [], "values": {}},
    "cooldown": 900,
    "timeout": 300,
}


class Needs(TypedDict):
    """What a remedy cannot do without."""

    approval: bool
    variables: list[str]
    values: dict[str, list[str] | str]


class Useless(TypedDict):
    """Where a remedy cannot help, see ``_useless``."""

    reasons: list[str]
    evidence: dict[str, Any]
    because: str


class Verification(TypedDict):
    """What shows that a remedy has helped."""

    part: str
    checks: list[str]
    timeout: int
    resolves: bool


class Metadata(TypedDict):
    """A remedy as its file describes it, see ``remedy``."""

    name: str
    title: str
    answers: list[str]
    changes: list[str]
    impact: str
    reversible: bool
    component: str
    runs_on: str
    after_dependencies: bool
    restarts_app: bool
    useless: list[Useless]
    acts_on: str | None
    needs: Needs
    undo: dict[str, Any]
    cooldown: int
    timeout: int
    verification: Verification


class Remedy(Metadata):
    """A remedy of a catalogue.

    Attributes:
        own: whether it is from the user's own directory.
    """

    own: bool


class CatalogueError(Exception):
    """Metadata that cannot be; the message names the file, the key, its value and what may be."""


def catalogue(
    documents: Mapping[str, Any], tasks: Container[str], own: Container[str] = ()
) -> dict[str, Remedy]:
    """Return {name: remedy}, each with every key.

    Args:
        documents: {name: what its metadata file holds}.
        tasks: the names that have a tasks file.
        own: the names that are from the user's own directory.

    Raises:
        CatalogueError: for the first remedy that does not keep the contract.
    """
    found: dict[str, Remedy] = {
        name: {**remedy(name, document), "own": name in own}
        for name, document in sorted(documents.items())
    }
    for name in found:
        if name not in tasks:
            raise CatalogueError("remedy %s: there is no file with its tasks" % name)
    return found


def remedy(name: str, document: Any) -> Metadata:
    """Return one remedy, with every key of the contract; cooldown and timeout are seconds.

    It is reversible if what it changes can be brought back as it was, by its undo, by its end or by
    hand, or if it changes nothing that lasts. What is not reversible needs approval.

    Its verification ``resolves`` if it shows that what the remedy answers is gone; otherwise it
    shows only that nothing else has failed.

    It ``restarts_app`` if it says so, or is of the app and interrupts it: where the app serves, a
    person has to approve that.

    One with ``after_dependencies`` is also planned for findings that derive from what another
    remedy fixes, in case they outlast it. What it ``acts_on`` is the service that it starts, stops,
    restarts or reconfigures: where a cluster manager owns that, it is held back.

    Raises:
        CatalogueError: it does not keep the contract.
    """
    check = _Checker(name)
    if not _NAME.match(name):
        raise CatalogueError("remedy %r: a name is of a-z, 0-9 and _, a letter first" % name)
    check.keys("", document, _REQUIRED, tuple(_OPTIONAL))
    document = {**_OPTIONAL, **document}
    title = check.text("title", document["title"])
    if title.endswith("."):
        check.fail("title", title, "a title without a full stop")
    needs = document["needs"]
    check.keys("needs", needs, (), ("approval", "variables", "values"))
    approval = check.switch("needs.approval", needs.get("approval", False))
    reversible = check.switch("reversible", document["reversible"])
    if not reversible and not approval:
        check.fail("needs.approval", approval, "true: it is not reversible")
    verification = document["verification"]
    check.keys("verification", verification, ("part",), ("checks", "timeout", "resolves"))
    return {
        "name": name,
        "title": title,
        "answers": _answers(check, document["answers"]),
        "changes": check.texts("changes", document["changes"]),
        "impact": check.choice("impact", document["impact"], IMPACTS),
        "reversible": reversible,
        "component": check.choice("component", document["component"], COMPONENTS),
        "runs_on": check.choice("runs_on", document["runs_on"], RUNS_ON),
        "after_dependencies": check.switch("after_dependencies", document["after_dependencies"]),
        "restarts_app": _restarts_app(check, document),
        "useless": _useless(check, document["useless"]),
        "acts_on": check.choice("acts_on", document["acts_on"], ACTS_ON),
        "needs": {
            "approval": approval,
            "variables": check.texts(
                "needs.variables", needs.get("variables", []), _VARIABLE, "variables", least=0
            ),
            "values": _values(check, needs.get("values", {})),
        },
        "undo": _undo(check, document["undo"]),
        "cooldown": check.number("cooldown", document["cooldown"], 0),
        "timeout": check.number("timeout", document["timeout"], 1),
        "verification": {
            "part": check.text("verification.part", verification["part"]),
            "checks": check.texts("verification.checks", verification.get("checks", []), least=0),
            "timeout": check.number("verification.timeout", verification.get("timeout", 60), 1),
            "resolves": check.switch("verification.resolves", verification.get("resolves", True)),
        },
    }


def _answers(check: _Checker, answers: Any) -> list[str]:
    """Return the ids of findings; one that no check gives any more would never be planned."""
    for id in check.texts("answers", answers, _ID, "the ids of findings"):
        if id in renamed.FINDINGS:
            check.fail("answers", id, "given as %s" % ", ".join(renamed.FINDINGS[id]))
    return list(answers)


def _restarts_app(check: _Checker, document: dict[str, Any]) -> bool:
    if document["restarts_app"] is not None:
        return check.switch("restarts_app", document["restarts_app"])
    interrupts = document["component"] == "app" and document["impact"] in INTERRUPTING
    undo = document["undo"]
    undone = "sergas_remedy_app" in str(undo.get("restarts")) if isinstance(undo, dict) else False
    return interrupts or undone


def _values(check: _Checker, values: Any) -> dict[str, list[str] | str]:
    """Return which variables of .env need a value of the inventory: {id of the finding: their
    names, or where the finding has them}.
    """
    if not isinstance(values, dict):
        check.fail("needs.values", values, "a dictionary of ids and names")
    for id, names in values.items():
        check.texts("needs.values", [id], _ID, "the ids of findings")
        if not (isinstance(names, str) and names.startswith("evidence.")):
            check.texts("needs.values." + id, names, _VARIABLE, "names, or evidence.NAME")
    return values


def _useless(check: _Checker, rules: Any) -> list[Useless]:
    """Return the rules that say where a remedy cannot help, by what its finding knows.

    Each has the reason ``because``, and ``reasons`` (codes of the finding), ``evidence`` ({name:
    value, or a list of values}; a dot leads into a dictionary), or both, which all have to hold.
    """
    if not isinstance(rules, list):
        check.fail("useless", rules, "a list of rules")
    found: list[Useless] = []
    for rule in rules:
        check.keys("useless", rule, ("because",), ("reasons", "evidence"))
        if len(rule) < 2:
            check.fail("useless", rule, "a rule with reasons or evidence")
        evidence = rule.get("evidence", {})
        if not isinstance(evidence, dict) or not all(isinstance(name, str) for name in evidence):
            check.fail("useless.evidence", evidence, "a dictionary of names and values")
        found.append(
            {
                "reasons": check.texts("useless.reasons", rule.get("reasons", []), least=0),
                "evidence": evidence,
                "because": check.text("useless.because", rule["because"]),
            }
        )
    return found


def _undo(check: _Checker, undo: Any) -> dict[str, Any]:
    """Return ``{none: reason}``, or ``{files, commands, restarts}``, which are still templates."""
    check.keys("undo", undo, (), ("none", "files", "commands", "restarts"))
    if "none" in undo:
        if len(undo) > 1:
            check.fail("undo", undo, "either none with a reason, or files, commands and restarts")
        return {"none": check.text("undo.none", undo["none"])}
    if not undo:
        check.fail("undo", undo, "files and commands, or none with the reason why there are none")
    result = {}
    for key in ("files", "commands", "restarts"):
        value = undo.get(key, [])
        # One template may give the whole list.
        if not isinstance(value, list) and not (isinstance(value, str) and "{{" in value):
            check.fail("undo." + key, value, "a list")
        result[key] = value
    for command in result["commands"] if isinstance(result["commands"], list) else ():
        if not isinstance(command, list) or not command:
            check.fail("undo.commands", command, "a list of a command's words")
    return result


class _Checker:
    """Says what is wrong with one file, always in the same words."""

    def __init__(self, name: str) -> None:
        self._name = name

    def fail(self, key: str, value: Any, allowed: str) -> NoReturn:
        raise CatalogueError(
            "remedy %s: %s: %r is not allowed, it must be %s"
            % (self._name, key or "the file", value, allowed)
        )

    def keys(
        self, key: str, value: Any, required: tuple[str, ...], optional: tuple[str, ...]
    ) -> None:
        if not isinstance(value, dict):
            self.fail(key, value, "a dictionary")
        for name in value:
            now = renamed.REMEDY_KEYS.get(self._path(key, name))
            if now:
                self.fail(self._path(key, name), value[name], "given as %s" % now)
        for name in required:
            if name not in value:
                self.fail(key, sorted(map(str, value)), "a dictionary with %s" % name)
        for name in value:
            if name not in required + optional:
                self.fail(
                    self._path(key, name),
                    value[name],
                    "one of the keys: %s" % ", ".join(required + optional),
                )

    @staticmethod
    def _path(key: str, name: Any) -> str:
        return ("%s.%s" % (key, name)).strip(".")

    def text(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            self.fail(key, value, "a text")
        return value.strip()

    def texts(
        self,
        key: str,
        value: Any,
        pattern: re.Pattern[str] | None = None,
        what: str = "texts",
        least: int = 1,
    ) -> list[str]:
        good = isinstance(value, list) and len(value) >= least
        good = good and all(isinstance(item, str) and item.strip() for item in value)
        if not good or (pattern and not all(pattern.match(item) for item in value)):
            self.fail(key, value, "a list of %s" % what)
        return list(value)

    def choice(self, key: str, value: Any, allowed: Sequence[str | None]) -> Any:
        if value not in allowed:
            self.fail(key, value, "one of: %s" % ", ".join(filter(None, allowed)))
        return value

    def switch(self, key: str, value: Any) -> bool:
        if not isinstance(value, bool):
            self.fail(key, value, "true or false")
        return value

    def number(self, key: str, value: Any, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.fail(key, value, "a whole number of seconds, %d or more" % least)
        return value
