# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On hosts of the tests: a module of Ansible is compiled once, not anew each time it is sent.

Python compiles what it imports from a module's archive each time, which is a third of what the
modules cost a host. Here the code is kept in /run, by what it was compiled from; code_cache.pth
loads this at the start of each Python.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import sys
import zipimport

DIRECTORY = os.path.join("/run/fleet-code-cache", sys.implementation.cache_tag)
_compile = zipimport._compile_source


def compile_source(pathname, source):
    """Return the code of a file of an archive, as ``zipimport`` does."""
    path = os.path.join(DIRECTORY, hashlib.sha256(source).hexdigest())
    with contextlib.suppress(OSError, EOFError, ValueError), open(path, "rb") as file:
        return marshal.load(file)  # noqa: S302  root wrote it
    code = _compile(pathname, source)
    with contextlib.suppress(OSError):
        os.makedirs(DIRECTORY, mode=0o755, exist_ok=True)
        partial = "%s.%d" % (path, os.getpid())
        with open(partial, "wb") as file:
            marshal.dump(code, file)
        os.replace(partial, path)
    return code


zipimport._compile_source = compile_source
