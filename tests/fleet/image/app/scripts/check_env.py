# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say which required variables the service is missing: run in the app's directory with its venv."""

from __future__ import annotations

import importlib
import sys

from pydantic import ValidationError

try:
    importlib.import_module("src.config")
except ValidationError as error:
    for item in error.errors():
        print("%s: %s" % (".".join(map(str, item["loc"])), item["msg"]))
    sys.exit(1)
print("every required variable is set")
