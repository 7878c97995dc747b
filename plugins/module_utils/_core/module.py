# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``AnsibleModule`` that refuses more wrong options, by name."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sergas.ops.plugins.module_utils._core import options
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional


class Module(AnsibleModule):
    """A module whose numbers are within their ranges, and whose texts every system call takes."""

    def __init__(
        self,
        ranges: options.Ranges = (),
        renamed: Optional[Dict[str, str]] = None,
        **details: Any,
    ) -> None:
        """Check the options.

        Args:
            ranges: of each option that is a number, see ``options.check``.
            renamed: {old name: new name} of options; an old one is refused by its new name.
            details: those of ``AnsibleModule``.
        """
        self._ranges = ranges
        self._renamed = renamed or {}
        super().__init__(**details)

    def _load_params(self) -> None:
        """Read the options, and refuse those that ``AnsibleModule`` itself would fail over."""
        super()._load_params()
        try:
            options.check(self.params, self.argument_spec, self._ranges)
        except InvalidValue as error:
            # Which values are secrets is known only later: none is shown.
            self._set_internal_properties()
            super().fail_json(str(error), invocation={})

    def fail_json(self, msg: str, **details: Any) -> None:
        """Fail; what is said of an unsupported option begins with its new name."""
        if msg.startswith("Unsupported parameters"):
            named = msg.partition("Supported parameters include")[0]
            for old, new in self._renamed.items():
                if old in named.rpartition(":")[2].replace(".", " ").replace(",", " ").split():
                    msg = "the option %s is named %s now. %s" % (old, new, msg)
        super().fail_json(msg, **details)
