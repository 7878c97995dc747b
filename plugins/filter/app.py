# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role app decides from findings and from the inventory. Pure: plain values in and out."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils import connection_budget


def _alternatives(missing):
    """Return [name, ...] of C(NAME|ALTERNATIVE (reason)), the preferred one first."""
    return [name.strip() for name in missing.partition(" (")[0].split("|") if name.strip()]


def lacking_variables(missing, values):
    """Return those of the missing variables that no value is known for.

    Args:
        missing: names, C(NAME) or C(NAME|ALTERNATIVE), each perhaps with a reason in brackets.
        values: {name: value}.
    """
    return [
        "|".join(_alternatives(item))
        for item in missing
        if not any(_usable(values.get(name)) for name in _alternatives(item))
    ]


def variables_to_set(values, missing):
    """Return {name: value} to set: all of them if none is named as missing.

    Of alternatives, the first one that a value is known for is set.

    Args:
        values, missing: as for L(lacking_variables).
    """
    if not missing:
        return dict(values)
    chosen = {}
    for item in missing:
        for name in _alternatives(item):
            if _usable(values.get(name)):
                chosen[name] = values[name]
                break
    return chosen


def _usable(value):
    return value is not None and value != ""


def fitting_pool(findings, hosts=1):
    """Return {name: value} of the largest pool that fits the database, {} if the pool of now does.

    Args:
        findings: of C(sergas_health); those of the check C(resources) have in their evidence what
            the app may open and what the database has.
        hosts: how many hosts like this one share the database.

    Raises:
        ValueError: not even one connection for each worker fits.
    """
    found = [item["evidence"] for item in findings if item["evidence"].get("slots")]
    found = [evidence for evidence in found if "pool_size" in evidence]
    if not found:
        return {}
    numbers = {name: found[0][name] for name in ("workers", "pool_size", "max_overflow")}
    numbers["celery_workers"] = found[0].get("celery_workers", 0)
    rows = {"%04d" % number: numbers for number in range(int(hosts))}
    result = connection_budget.budget(rows, found[0]["slots"])
    if result["fits"]:
        return {}
    fit = result["hosts"][0]["fit"]
    if fit is None:
        raise ValueError(
            "%d hosts with %d workers and %d Celery workers each leave not even one connection for"
            " each worker within the %d that the database has: run fewer workers"
            % (hosts, numbers["workers"], numbers["celery_workers"], found[0]["slots"])
        )
    return {
        connection_budget.VARIABLES["pool_size"]: fit["pool_size"],
        connection_budget.VARIABLES["max_overflow"]: fit["max_overflow"],
    }


def tuning_for(finding, by_kind):
    """Return {name: value} to set against what a finding derives from, {} where nothing is known.

    Args:
        finding: its evidence counts what fails by kind (C(kinds)), such as C(database.timeout).
        by_kind: {kind: {name: value}}; a kind also stands for those below it.
    """
    kinds = finding.get("evidence", {}).get("kinds") or {}
    common = sorted((kind for kind in kinds if kind != "other"), key=lambda kind: -kinds[kind])
    for kind in common[:1]:
        while kind:
            if kind in by_kind:
                return dict(by_kind[kind])
            kind = kind.rpartition(".")[0]
    return {}


class FilterModule:
    """The filters of role app."""

    def filters(self):
        """Return {name: function}."""
        return {
            "lacking_variables": lacking_variables,
            "variables_to_set": variables_to_set,
            "fitting_pool": fitting_pool,
            "tuning_for": tuning_for,
        }
