# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the catalogue and an earlier report from the controller's disk. What they hold is judged
elsewhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible.module_utils.common.yaml import yaml_load
from yaml import YAMLError

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.catalogue import (
    CatalogueError,
    catalogue,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.options import OptionError
from ansible_collections.sergas.ops.plugins.plugin_utils.report.model import SCHEMA_VERSION

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.catalogue import Remedy

#: Keys that a plan reads of a report, beyond its version.
_LISTS = ("hosts", "fleet", "roots")


def read_catalogue(
    directories: Sequence[tuple[str, str]],
) -> tuple[dict[str, Remedy], dict[str, dict[str, str]]]:
    """Return ({name: remedy}, {name: {metadata, tasks}}), the latter as paths.

    Args:
        directories: [(that of the metadata, that of the tasks)], the collection's first, then the
            user's own. A name may be in one of them only.

    Raises:
        CatalogueError: a file cannot be read, is no YAML, or does not keep the contract.
    """
    documents: dict[str, Any] = {}
    files: dict[str, dict[str, str]] = {}
    own = set()
    for metadata, tasks in directories:
        for name in _names(metadata):
            if name in files:
                raise CatalogueError(
                    "remedy %s: there are two, %s and %s"
                    % (name, files[name]["metadata"], os.path.join(metadata, name + ".yml"))
                )
            files[name] = {
                "metadata": os.path.join(metadata, name + ".yml"),
                "tasks": os.path.join(tasks, name + ".yml"),
            }
            if (metadata, tasks) != directories[0]:
                own.add(name)
            documents[name] = _read_yaml(name, files[name]["metadata"])
    with_tasks = {name for name in files if os.path.isfile(files[name]["tasks"])}
    return catalogue(documents, with_tasks, own), files


def _names(directory: str) -> list[str]:
    try:
        names = os.listdir(directory)
    except OSError as error:
        raise CatalogueError(
            "the remedies in %s cannot be read: %s" % (directory, error.strerror)
        ) from error
    return sorted(name[:-4] for name in names if name.endswith(".yml"))


def _read_yaml(name: str, path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return yaml_load(file)
    except (OSError, ValueError, YAMLError) as error:
        raise CatalogueError("remedy %s: %s cannot be read: %s" % (name, path, error)) from error


def read_report(option: str, path: str) -> dict[str, Any]:
    """Return the model of a report file.

    Args:
        option: the name of the option that gave the path, for the error.
        path: of a report.json.

    Raises:
        OptionError: it cannot be read, or it is of another schema version.
    """
    try:
        with open(path, encoding="utf-8") as file:
            model = json.load(file)
    except OSError as error:
        raise OptionError("%s: %s cannot be read: %s" % (option, path, error.strerror)) from error
    except ValueError as error:
        raise OptionError("%s: %s is not JSON: %s" % (option, path, error)) from error
    version = model.get("schema_version") if isinstance(model, dict) else None
    major = SCHEMA_VERSION.partition(".")[0]
    if not isinstance(version, str) or version.partition(".")[0] != major:
        raise OptionError(
            "%s: %s has the schema version %s, allowed is %s.x: make a report with this version of"
            " the collection" % (option, path, version, major)
        )
    if not _is_report(model):
        raise OptionError("%s: %s does not match docs/report.schema.json" % (option, path))
    return model


def _is_report(model: Any) -> bool:
    """Return whether a model has what a plan reads."""
    try:
        found = all(isinstance(model[key], list) for key in _LISTS)
        for host in model["hosts"]:
            found = found and isinstance(host["name"], str) and isinstance(host["reachable"], bool)
            for item in host["findings"]:
                texts = [item[key] for key in ("id", "status", "component", "summary")]
                found = found and all(isinstance(text, str) for text in texts)
                found = found and isinstance(item["evidence"], dict) and "remedy" in item
        return found
    except (KeyError, TypeError, AttributeError):
        return False
