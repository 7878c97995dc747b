#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_debug_logging
short_description: Let the app log in detail for a limited time
version_added: 1.0.0
description:
  - Sets C(LOG_LEVEL=DEBUG) in the app's C(.env), and first has the host itself restore the old
    value when the time is up. No further run is needed for that, and a host that is down then does
    it at its next boot.
  - While it is on, another run changes nothing, and the time stays as it was.
  - At the end, exactly the lines that were there before are restored, and the app is restarted. A
    value that has been set in the meantime stays.
  - The app logs in detail after its next start, see M(sergas.ops.app_service).
options:
  service:
    description:
      - The systemd unit of the app.
    type: str
    default: sergas-app
  env_file:
    description:
      - The C(.env) of the app. If not given, the one that its unit names.
    type: path
  state:
    description:
      - Whether it is on. If V(absent), it is ended at once, with a restart of the app.
    type: str
    choices: [present, absent]
    default: present
  seconds:
    description:
      - How long it lasts, in seconds.
    type: int
    default: 1800
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The value before and after, and how long it lasts.
  platform:
    platforms: posix
seealso:
  - module: sergas.ops.app_service
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Let the app log in detail for an hour
  sergas.ops.app_debug_logging:
    seconds: 3600
  become: true
  register: debugging

- name: Restart the app with detailed logging
  sergas.ops.app_service:
    restart: "{{ debugging.env_changed }}"
  become: true
"""

RETURN = r"""
until:
  description: When it ends, or null.
  returned: success
  type: str
  sample: 2026-03-01 09:30:00 UTC
env_changed:
  description: Whether the C(.env) was changed, so that the app has to be restarted.
  returned: success
  type: bool
  sample: true
note:
  description: Why nothing was to be done, or null.
  returned: success
  type: str
  sample: LOG_LEVEL is DEBUG already
"""

from ansible_collections.sergas.ops.plugins.module_utils._app import debug_logging
from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module

RANGES = (("seconds", 1, 7 * 86400),)


def main():
    spec = {
        "service": {"type": "str", "default": "sergas-app"},
        "env_file": {"type": "path"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "seconds": {"type": "int", "default": 1800},
    }
    module = Module(ranges=RANGES, argument_spec=spec, supports_check_mode=True)
    runner.run(module, debug_logging.run, module.check_mode)


if __name__ == "__main__":
    main()
