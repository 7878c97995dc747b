# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches PostgreSQL; the argument spec is ``_postgresql.session.CONNECTION``.

    ``sergas.ops.postgresql.table`` names one table of it (``_postgresql.session.TABLE``),
    ``sergas.ops.postgresql.work`` says what all modules share that work on one.
    """

    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - The host of the server. If not given, the local Unix socket is used.
    type: str
  login_port:
    description:
      - The port of the server, which is also part of its socket's name. If not given, 5432; on the
        server's own host, the port of the only server there.
    type: int
  login_user:
    description:
      - The role to connect as.
      - If not given, the role named as the system user. B(root) has no such role as a rule; over
        the local socket it connects as the system user that the server runs as, and so do tasks
        with C(become) but without C(become_user).
    type: str
  login_password:
    description:
      - The password of O(login_user). It is never put on a command line.
      - If not given, and the server wants one, the system user's C(~/.pgpass) is used.
    type: str
  login_db:
    description:
      - The database to connect to.
    type: str
    default: postgres
  login_unix_socket:
    description:
      - The directory of the server's Unix socket. If not given, the usual directories are searched,
        and then what the system lists as listening.
    type: path
  ssl_mode:
    description:
      - Whether a connection over TCP is encrypted, and how far the identity of the server is
        verified.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    default: prefer
  ca_cert:
    description:
      - The certificates of the authorities that the server's certificate is checked against.
        If not given, C(~/.postgresql/root.crt) of the system user.
    type: path
  ssl_cert:
    description:
      - The client's certificate.
    type: path
  ssl_key:
    description:
      - The key of the client's certificate.
    type: path
notes:
  - With psycopg2 in the Python of the target, that is used; else a client of this collection, which
    needs nothing on the target. The result is the same, and its C(driver) says which one it was.
  - Over the local socket, a superuser connects through the reserved slots when every ordinary one
    is taken.
"""

    TABLE = r"""
options:
  schema:
    description:
      - The schema of the table.
    type: str
    default: public
  table:
    description:
      - The table.
    type: str
    required: true
"""

    WORK = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: posix
"""
