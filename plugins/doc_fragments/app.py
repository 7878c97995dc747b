# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which app a module is about, in the same words for all that have to find it."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  service:
    description:
      - The systemd unit of the app.
    type: str
    default: sergas-app
  app_dir:
    description:
      - The directory of the app. If not given, the one that its unit names.
    type: path
  env_file:
    description:
      - The C(.env) of the app. If not given, the one that its unit names, else C(.env) in
        O(app_dir).
    type: path
  port:
    description:
      - The port of the app. If not given, the one of its unit or C(.env), else 8000.
    type: int
"""
