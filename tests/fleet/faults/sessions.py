# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of the app's role that stay until this ends: sessions.py COUNT [STATEMENT...].

Each runs the statements, one by one; for the end of one that begins with "&" it does not wait.
COUNT "all" is until the server has no slot left.
"""

from __future__ import annotations

import signal
import sys
import threading

import psycopg2


def run(session: psycopg2.extensions.connection, statement: str) -> None:
    """Run a statement that ends with this program."""
    session.cursor().execute(statement)


def main() -> None:
    """Open the sessions and hold them."""
    count, statements = sys.argv[1], sys.argv[2:]
    sessions = []
    while count == "all" or len(sessions) < int(count):
        try:
            session = psycopg2.connect(
                host="127.0.0.1",
                user="sergas_app",
                dbname="sergas_prod",
                application_name="batch-import",
            )
        except psycopg2.OperationalError:
            if count != "all":
                raise
            break
        sessions.append(session)
        session.autocommit = True
        with session.cursor() as cursor:
            for statement in statements or ["SELECT 1"]:
                if statement.startswith("&"):
                    busy = threading.Thread(target=run, args=(session, statement[1:]), daemon=True)
                    busy.start()
                else:
                    cursor.execute(statement)
    signal.pause()


if __name__ == "__main__":
    main()
