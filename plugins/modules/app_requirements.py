#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_requirements
short_description: Install the app's missing requirements in its virtual environment
version_added: 1.0.0
description:
  - Compares the requirements and all that they need in turn with what is installed in the app's
    virtual environment. What is missing or has another version than is required is installed, and
    what has lost files is installed again. What satisfies the requirements is left alone.
  - Check mode names each package with its version. Where pip is older than 22.2 and a requirement
    does not pin a version, it is named as the requirement says it.
options:
  app_dir:
    description:
      - The directory of the app.
    type: path
    default: /home/sergas/super-account-manager
  virtualenv:
    description:
      - The virtual environment. If not given, C(venv) in O(app_dir).
    type: path
  requirements:
    description:
      - The files of requirements. If not given, C(requirements.txt) in O(app_dir).
    type: list
    elements: path
    default: []
  modules:
    description:
      - Modules that the app cannot import. The files of the packages that have them are compared
        with what was installed, and a package with a changed one is installed again. What others
        have changed in any other package stays.
    type: list
    elements: str
    default: []
  index_url:
    description:
      - The package index. If not given, the one that pip is configured for. It may hold a password.
    type: str
  find_links:
    description:
      - A directory or a page with packages, beside the index.
    type: str
  no_index:
    description:
      - Whether only O(find_links), or the directory that pip is configured for, is used.
    type: bool
    default: false
  timeout:
    description:
      - How long one call of pip may take, in seconds.
    type: float
    default: 600
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
    details: To name versions, pip queries its index.
  diff_mode:
    support: full
  platform:
    platforms: posix
notes:
  - It is to be run as the user that the environment belongs to, and refuses to be another one,
    since it runs programs of that user.
  - Requirements that are a path, a URL or editable are not compared, see RV(unchecked).
seealso:
  - module: ansible.builtin.pip
  - module: sergas.ops.app_service
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Install the app's missing requirements
  sergas.ops.app_requirements:
  become: true
  become_user: sergas
  register: requirements

- name: Install the app's requirements from a directory of wheels, on a host without a network
  sergas.ops.app_requirements:
    find_links: /srv/wheels
    no_index: true
  become: true
  become_user: sergas
"""

RETURN = r"""
packages:
  description: The packages that are installed, or would be.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The package.
      type: str
      sample: structlog
    requirement:
      description: What requires it.
      type: str
      sample: structlog==25.4.0
    before:
      description: The version that was installed, or null.
      type: str
      sample: null
    after:
      description: The version that is installed now; null where check mode cannot know it.
      type: str
      sample: 25.4.0
    why:
      description: Why it is installed.
      type: str
      sample: it is not installed
compared:
  description: How many requirements were compared, those of requirements included.
  returned: success
  type: int
  sample: 31
unchecked:
  description: Lines that cannot be compared.
  returned: success
  type: list
  elements: str
  sample: []
virtualenv:
  description: The virtual environment.
  returned: success
  type: str
  sample: /home/sergas/super-account-manager/venv
"""

from ansible_collections.sergas.ops.plugins.module_utils._app import requirements
from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module

RANGES = (("timeout", 1, 86400),)


def main():
    spec = {
        "app_dir": {"type": "path", "default": "/home/sergas/super-account-manager"},
        "virtualenv": {"type": "path"},
        "requirements": {"type": "list", "elements": "path", "default": []},
        "modules": {"type": "list", "elements": "str", "default": []},
        "index_url": {"type": "str", "no_log": True},
        "find_links": {"type": "str"},
        "no_index": {"type": "bool", "default": False},
        "timeout": {"type": "float", "default": 600},
    }
    module = Module(ranges=RANGES, argument_spec=spec, supports_check_mode=True)
    runner.run(module, requirements.run, module.check_mode)


if __name__ == "__main__":
    main()
