# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the app's own code says of its settings: their types, and whether it reads a .env.

It is read only where the app does not run, or where a value looks as if it refused it.
"""

from __future__ import annotations

import os
import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._host import app_values

_MOST_FILES = 300
_MOST_BYTES = 256 * 1024
_NOT_ITS_OWN = frozenset(("venv", "env", "node_modules", "site-packages", "__pycache__", "tests"))
_FIELD = re.compile(r"(?m)^[ \t]+([A-Za-z_]\w*)[ \t]*:[ \t]*([^=#\n]{1,80})")
_CONVERTED = re.compile(
    r"\b(int|float)\([ \t]*(?:os\.)?(?:environ\.get\(|environ\[|getenv\()[ \t]*[\"'](\w+)"
)
_DOTENV = re.compile(
    r"load_dotenv|dotenv_values|find_dotenv|env_file|read_env|decouple|Config\([\"']\.env"
)


class Code(namedtuple("Code", ["kinds", "reads_dotenv"])):
    """What the code says.

    Attributes:
        kinds: {NAME: kind} of its settings, see ``app_values``; {} where none has a known form.
        reads_dotenv: whether it reads a .env.
    """

    __slots__ = ()


def read(app_dir):
    """Return the ``Code`` of an app, or None where none of it can be read."""
    texts = []
    for directory, names, entries in os.walk(app_dir):
        names[:] = [
            name for name in sorted(names) if name not in _NOT_ITS_OWN and not name.startswith(".")
        ]
        for name in sorted(entries):
            if name.endswith(".py") and len(texts) < _MOST_FILES:
                try:
                    with files.held(os.path.join(directory, name)) as target:
                        texts.append(target.read(_MOST_BYTES).data.decode("utf-8", "replace"))
                except OSError:
                    continue
        if len(texts) >= _MOST_FILES:
            break
    return interpret(texts) if texts else None


def interpret(texts):
    """Return the ``Code`` of the texts of Python files (pure)."""
    kinds = {}
    for text in texts:
        if "BaseSettings" in text:
            for name, annotation in _FIELD.findall(text):
                kinds[name.upper()] = _kind(annotation)
        for word, name in _CONVERTED.findall(text):
            kinds[name] = app_values.WHOLE if word == "int" else app_values.NUMBER
    return Code(kinds, any(_DOTENV.search(text) for text in texts))


def _kind(annotation):
    words = set(re.findall(r"\w+", annotation))
    if "str" in words:
        return app_values.TEXT
    for word, kind in (
        ("bool", app_values.SWITCH),
        ("float", app_values.NUMBER),
        ("int", app_values.WHOLE),
    ):
        if word in words:
            return kind
    return app_values.TEXT
