# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that have another name now."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict


class RenamedOptions(AnsibleModule):
    """A module that names the new option where the old one is set, which it refuses."""

    def __init__(self, renamed: Dict[str, str], **details: Any) -> None:
        """Check the options.

        Args:
            renamed: {old name: new name}.
            details: those of ``AnsibleModule``.
        """
        self._renamed = renamed
        super().__init__(**details)

    def fail_json(self, msg: str, **details: Any) -> None:
        """Fail; what is said of an unsupported option begins with its new name."""
        if msg.startswith("Unsupported parameters"):
            named = msg.partition("Supported parameters include")[0]
            for old, new in self._renamed.items():
                if old in named.rpartition(":")[2].replace(".", " ").replace(",", " ").split():
                    msg = "the option %s is named %s now. %s" % (old, new, msg)
        super().fail_json(msg, **details)
