# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the checkout importable as ansible_collections.sergas.ops, as Ansible itself does it.

So ``pytest`` works as it is. Under ``ansible-test units`` the collection is importable already.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]

try:
    importlib.import_module("ansible_collections.sergas.ops")
except ImportError:
    from ansible.plugins.loader import init_plugin_loader

    # Found elsewhere, without this collection: Ansible's own finder must search again.
    sys.modules.pop("ansible_collections", None)
    subprocess.run([CHECKOUT / "scripts" / "collection.sh", "link"], check=True)
    init_plugin_loader([str(CHECKOUT / ".build")])
