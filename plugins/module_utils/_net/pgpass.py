# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file of passwords that PostgreSQL's own clients read, ``~/.pgpass``."""

from __future__ import annotations

import os
import pwd
import re
import stat

from ansible_collections.sergas.ops.plugins.module_utils._core import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


def password(
    host: str, port: int, database: str, user: str, system_user: Optional[str] = None
) -> Optional[str]:
    """Return the password for a connection, or None where the file has none.

    Args:
        system_user: whose file it is; None for the one of this process.
    """
    if system_user:
        path = os.path.join(pwd.getpwnam(system_user).pw_dir, ".pgpass")
    else:
        path = os.environ.get("PGPASSFILE") or os.path.expanduser("~/.pgpass")
    try:
        status = files.stat(path)
        # As libpq does: what others may read is no longer a secret.
        if status is None or stat.S_IMODE(status.st_mode) & 0o077:
            return None
        return find(files.read_text(path), host, port, database, user)
    except OSError:
        return None


def find(text: str, host: str, port: int, database: str, user: str) -> Optional[str]:
    """Return the password of the first line that fits, or None.

    Args:
        text: lines of ``host:port:database:user:password``, each part a ``*`` or a text with a
            backslash before a colon or a backslash.
        host: a name, an address, or the directory of a Unix socket, which is ``localhost``, too.
    """
    hosts = {host, "localhost"} if host.startswith("/") else {host}
    for line in text.splitlines():
        match = re.match(r"((?:[^\\:]|\\.)*):" * 4 + r"((?:[^\\:]|\\.)*)", line)
        if not match or line.startswith("#"):
            continue
        parts = [None if part == "*" else re.sub(r"\\(.)", r"\1", part) for part in match.groups()]
        wanted = (hosts, {str(port)}, {database}, {user})
        if all(part is None or part in fits for part, fits in zip(parts, wanted)):
            return parts[4] or None
    return None
