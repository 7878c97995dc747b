#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sergas_env
short_description: Set and remove variables of the app's .env
version_added: 1.0.0
description:
  - Sets and removes variables in a C(.env) file. Comments, order, quotes and all lines that are not
    named in the options stay.
  - A value is written in a form that systemd's C(EnvironmentFile=), python-dotenv and a shell's
    C(source) read alike.
    A value that has no such form is refused with the reason.
  - An inline comment would be part of the value for systemd, so it moves to a separate line above
    the variable.
    C(export) would hide the variable from systemd, so it is dropped. Both apply to the variables
      that are set only.
  - A variable that is set more than once is set once afterwards.
  - A byte order mark is dropped, because systemd takes it for a part of the first variable's name.
  - The result is read again as all of them read it, before it replaces the file in one step. On a
    full disk the file
    stays as it was.
options:
  path:
    description:
      - The file. It is UTF-8, no larger than 1 MiB, a regular file, and not one of several names of
        the same file (hard links) in a directory that another user than root may change.
      - A symbolic link is followed only if root made it and it leads to a regular file with one
        name, which belongs to root or to the app's user, and whose directory no third user may
        change. The link stays then, and the file it leads to is changed. Any other link is refused
        by name, and so is one among the directories, unless it is root's where only root may change
        it.
      - The app's user is the owner of the directory of the link. Where that is root, it is the
        owner of the file that the link leads to.
    type: path
    default: /home/sergas/super-account-manager/.env
  values:
    description:
      - The variables to set, by name.
      - A boolean is written as V(true) or V(false). A list or a dictionary is refused; the filter
        P(ansible.builtin.to_json#filter) makes a text of it.
      - It is kept out of the system's log. In results and diffs, what is secret by O(secret_keys)
        or by its name is
        masked.
    type: dict
    default: {}
  absent:
    description:
      - The names of the variables to remove, with the inline comments on their lines.
    type: list
    elements: str
    default: []
  repair:
    description:
      - Whether the other variables are put right, too. Those that systemd and python-dotenv read
        differently get what
        python-dotenv reads, and those that are set more than once keep the value that counts for
          it.
      - Where that cannot be, they stay as they are and RV(ambiguous) and RV(duplicates) say so.
    type: bool
    default: false
  systemd:
    description:
      - Whether systemd reads the file as an C(EnvironmentFile=).
      - If V(false), C(export) and inline comments stay where they are, and RV(ambiguous) is empty.
    type: bool
    default: true
  secret_keys:
    description:
      - Names of variables whose values are secret, beyond those whose names say so, such as
        C(DATABASE_PASSWORD),
        C(ZOHO_SDK_CLIENT_SECRET) and everything that ends in C(KEY). Passwords in URLs are masked
          as well.
    type: list
    elements: str
    default: []
  create:
    description:
      - Whether a file that does not exist is made. If V(false), there is nothing to set variables
        in, and that is an
        error.
    type: bool
    default: false
  owner:
    description:
      - The user the file belongs to, by name or number. If not given, the owner stays; a new file
        belongs to the user
        that makes it.
    type: str
  group:
    description:
      - The group of the file, by name or number. If not given, the group stays.
    type: str
  mode:
    description:
      - The mode of the file in octal digits, for example V('0640'), or clauses that change a part
        of it, for example V('o=') or V('g-w,o='). If not given, the mode stays; a new file gets
        V('0600').
    type: raw
  backup:
    description:
      - Whether the old file is kept beside the new one, with the same owner, mode and extended
        attributes. It holds the old secrets.
    type: bool
    default: false
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The whole file, with secrets masked. A secret that is another one afterwards is marked
      as changed.
  platform:
    platforms: posix
notes:
  - The app reads its variables when it starts.
  - The arguments of a task that Ansible itself prints (C(ANSIBLE_DISPLAY_ARGS_TO_STDOUT)) are out
    of a module's reach;
    set C(no_log) where that is switched on.
  - A line that is set ends in a newline, also in a file with carriage returns, which a shell would
    take for part of
    the value.
seealso:
  - module: sergas.ops.sergas_health
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Give the app a smaller pool
  sergas.ops.sergas_env:
    values:
      DATABASE_POOL_SIZE: 5
      DATABASE_MAX_OVERFLOW: 5
    backup: true
  become: true
  register: pool

- name: Set a secret from the vault, and one that its name does not tell
  sergas.ops.sergas_env:
    values:
      ZOHO_SDK_CLIENT_SECRET: "{{ vault_zoho_client_secret }}"
      ZOHO_ORGANISATION: "{{ vault_zoho_organisation }}"
    secret_keys: [ZOHO_ORGANISATION]
  become: true

- name: Remove a variable, and put right what systemd and python-dotenv read differently
  sergas.ops.sergas_env:
    absent: [REDIS_CACHE_TTL]
    repair: true
  become: true

- name: Make the file where there is none
  sergas.ops.sergas_env:
    values:
      DATABASE_HOST: db1.example.com
      DATABASE_NAME: sergas_prod
    create: true
    owner: sergas
    group: sergas
    mode: "0600"
  become: true
"""

RETURN = r"""
file:
  description: The file. If O(path) is a symbolic link, what it leads to.
  returned: success
  type: str
  sample: /home/sergas/super-account-manager/.env
created:
  description: Whether there was no file before.
  returned: success
  type: bool
  sample: false
changed_keys:
  description: The variables of O(values) whose lines changed, because of the value or of how it was
    written.
  returned: success
  type: list
  elements: str
  sample: [DATABASE_POOL_SIZE]
repaired:
  description: The other variables that O(repair) has put right.
  returned: success
  type: list
  elements: str
  sample: [REDIS_CACHE_TTL]
removed:
  description: The variables of O(absent) that were there.
  returned: success
  type: list
  elements: str
  sample: [ZOHO_BATCH_DELAY]
dropped:
  description: The lines that set a variable another line set, too, and are gone.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The variable.
      type: str
      sample: LOG_LEVEL
    line:
      description: The number of the line in the file as it was.
      type: int
      sample: 12
duplicates:
  description: The variables that are still set more than once. The last line counts.
  returned: success
  type: list
  elements: str
  sample: []
ambiguous:
  description:
    - The variables that systemd and python-dotenv still read differently, each with the line and
      the two readings.
      The readings are left out where they may hold a secret.
  returned: success
  type: dict
  sample: {CACHE_TTL: "line 9: systemd reads '300  # 5 minutes', python-dotenv reads '300'"}
current:
  description:
    - The values that the variables of O(values) had before, as python-dotenv reads them. Those that
      are not set, or are secret, are left out.
  returned: success
  type: dict
  sample: {DATABASE_POOL_SIZE: "20"}
backup_file:
  description: The old file.
  returned: when O(backup=true) and the file was changed, not in check mode
  type: str
  sample: /home/sergas/super-account-manager/.env.4711.2026-03-01@09:30:00~
"""

from ansible_collections.sergas.ops.plugins.module_utils._app import env
from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module


def main():
    spec = {
        "path": {"type": "path", "default": "/home/sergas/super-account-manager/.env"},
        "values": {"type": "dict", "default": {}, "no_log": True},
        "absent": {"type": "list", "elements": "str", "default": []},
        "repair": {"type": "bool", "default": False},
        "systemd": {"type": "bool", "default": True},
        "secret_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "create": {"type": "bool", "default": False},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "mode": {"type": "raw"},
        "backup": {"type": "bool", "default": False},
    }
    module = Module(renamed={"mend": "repair"}, argument_spec=spec, supports_check_mode=True)
    # no_log masks every value wherever it stands, the "5" of a pool in each number of the result.
    module.no_log_values = env.maskable(module.params)
    shown = {"invocation": {"module_args": env.shown_options(module.params)}}
    runner.run(module, env.run, module.check_mode, always=shown)


if __name__ == "__main__":
    main()
