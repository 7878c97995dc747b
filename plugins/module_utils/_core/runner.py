# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the one function of a module and ends the module with its result or its error."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._core.files import FileRefused


def run(
    module: Any,
    function: Callable[..., Dict[str, Any]],
    *arguments: Any,
    always: Optional[Dict[str, Any]] = None,
) -> None:
    """Call ``function(module.params, *arguments)`` and end the module.

    A result with ``failed`` fails the module. Its ``warnings`` are shown as such, and its ``diff``
    is left out unless the run is one with ``--diff``. Only typed errors become a message: another
    exception is a fault of the module and shows as a traceback.

    Args:
        module: the ``AnsibleModule``.
        function: it returns the result, or raises an ``OperationError``.
        arguments: what it takes after the options.
        always: keys that each result gets, that of a failure as well.
    """
    always = always or {}
    try:
        result = function(module.params, *arguments)
    # FileRefused is an OSError, since its file stands alone on a host.
    except (OperationError, FileRefused) as error:
        details = {**getattr(error, "result", {}), **always}
        module.fail_json(msg=message(error), **details)
    result = {"changed": False, **result, **always}
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    if not module._diff:
        result.pop("diff", None)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


def message(error: Exception) -> str:
    """Return what a failed module says of a typed error."""
    text, hint = str(error), getattr(error, "hint", None)
    library = getattr(error, "library", None)
    if library:
        from ansible.module_utils.basic import missing_required_lib

        text = missing_required_lib(library, reason=text)
    return "%s: %s" % (text, hint) if hint else text
