# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The session in which statements on a table run: that of the table's owner.

The owner of a table decides what code a statement on it runs: triggers, rules and policies, and
already while the statement is planned the expressions of indexes and statistics and the key of a
partition. All of it runs with the rights of the session, and SET ROLE or SET SESSION AUTHORIZATION
is no way out of that, since the code can reset both. So the session has to be one that the owner
has logged in to.

Where the owner cannot log in, a superuser's session will do only as long as there is no such code.
That is checked in the transaction of the statement itself, under locks that keep it true.
"""

from __future__ import annotations

import contextlib

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import location
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import (
    connect,
    refuse_standby,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sql import identifier

#: How the owner of a table logs in.
OWNER = {
    "owner_user": {"type": "str"},
    "owner_password": {"type": "str", "no_log": True},
    "owner_host": {"type": "str"},
    "owner_port": {"type": "int"},
    "env_file": {"type": "path", "default": "/home/sergas/super-account-manager/.env"},
}
#: One attempt to log in is not worth more than this; in seconds.
_LONGEST_LOGIN = 5.0
#: After these, the server may well accept the owner from elsewhere.
_ELSEWHERE = (
    errors.Refused,
    errors.NotAllowed,
    errors.NameUnresolved,
    errors.Unreachable,
    errors.TimedOut,
    errors.EncryptionFailed,
    errors.PoolerInBetween,
)

# By the role that has logged in: code that runs in the session can go back to it. A superuser is a
# member of every role.
_RIGHTS = """
SELECT r.rolname::text AS role, r.rolsuper AS superuser,
  r.rolsuper OR r.rolcreaterole OR EXISTS (
    SELECT 1 FROM pg_roles p WHERE pg_has_role(r.oid, p.oid, 'MEMBER') AND (p.rolsuper OR
      p.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files'))
  ) AS powerful
FROM pg_roles r WHERE r.rolname = session_user
"""
_SELF = """
SELECT session_user::text AS session_role, current_user::text AS role, a.pid, a.backend_start
FROM pg_stat_get_activity(pg_backend_pid()) a
"""
# The server's own word, in the session that is trusted, on who another session is. A role that may
# not see others' sessions sees no more than whose they are.
_OTHER = """
SELECT r.rolname::text AS role, EXISTS (
    SELECT 1 FROM pg_roles p WHERE p.rolsuper AND pg_has_role(r.oid, p.oid, 'MEMBER')
  ) AS superuser
FROM pg_stat_get_activity(%s) a JOIN pg_roles r ON r.oid = a.usesysid
WHERE coalesce(a.backend_start = %s::timestamptz, true)
  AND a.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
"""

# As long as the row is locked, no session can rename the schema and put another one there.
_HOLD_SCHEMA = "SELECT n.oid::bigint AS id FROM pg_namespace n WHERE n.nspname = %s FOR SHARE"
_HELD = """
SELECT c.oid::bigint AS id, c.relkind::text AS kind FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s
"""
# Functions in C and internal ones are a superuser's. A partition has the key of what it is a part
# of. Only virtual generated columns run code when they are read; stored ones count here as well.
_CODE = """
WITH RECURSIVE held AS (
  SELECT %s::oid AS id UNION SELECT p.relid::oid FROM pg_partition_ancestors(%s::oid) p
), part (what, name, class, id) AS (
  SELECT 'the index', x.relname::text, 'pg_class'::regclass::oid, x.oid
  FROM pg_index i JOIN held ON held.id = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
  UNION ALL
  SELECT 'the constraint', k.conname::text, 'pg_constraint'::regclass::oid, k.oid
  FROM pg_constraint k JOIN held ON held.id = k.conrelid
  UNION ALL
  SELECT 'the statistics', s.stxname::text, 'pg_statistic_ext'::regclass::oid, s.oid
  FROM pg_statistic_ext s JOIN held ON held.id = s.stxrelid
  UNION ALL
  SELECT 'the generated column', a.attname::text, 'pg_attrdef'::regclass::oid, f.oid
  FROM pg_attrdef f JOIN held ON held.id = f.adrelid
  JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> ''
  UNION ALL
  SELECT 'the partition key, a generated column or a type of', c.relname::text,
    'pg_class'::regclass::oid, c.oid
  FROM pg_class c JOIN held ON held.id = c.oid
), reached (what, name, class, id) AS (
  SELECT part.what, part.name, part.class, part.id FROM part
  UNION
  SELECT r.what, r.name, further.class, further.id FROM reached r CROSS JOIN LATERAL (
    SELECT d.refclassid, d.refobjid FROM pg_depend d
    WHERE d.classid = r.class AND d.objid = r.id AND d.deptype IN ('n', 'a', 'i')
      AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
    UNION ALL
    SELECT 'pg_constraint'::regclass::oid, k.oid FROM pg_constraint k
    WHERE r.class = 'pg_type'::regclass AND k.contypid = r.id
  ) further (class, id)
)
SELECT 'the trigger' AS what, t.tgname::text AS name, t.tgfoid::regprocedure::text AS runs
FROM pg_trigger t JOIN held ON held.id = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'the rule', w.rulename::text, NULL FROM pg_rewrite w JOIN held ON held.id = w.ev_class
UNION ALL
SELECT 'the row policy', o.polname::text, NULL FROM pg_policy o JOIN held ON held.id = o.polrelid
UNION ALL
SELECT 'the foreign key', k.conname::text || ' of ' || k.conrelid::regclass::text, NULL
FROM pg_constraint k JOIN held ON held.id = k.confrelid WHERE k.contype = 'f'
UNION ALL
SELECT r.what, r.name, p.oid::regprocedure::text
FROM reached r JOIN pg_proc p ON r.class = 'pg_proc'::regclass AND r.id = p.oid
JOIN pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('internal', 'c')
JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname <> 'pg_catalog'
LIMIT 1
"""


class CodeOfOthers(OperationError):
    """A statement on the table would run code of others with a superuser's rights.

    The message names the table and the code and says what to do.
    """


class NoLogin(OperationError):
    """The table's owner does not log in; the message says why."""


class TableSession:
    """An open session in which statements on tables may run.

    Attributes:
        session: the ``session.Session``.
        role: the role that is logged in.
        unguarded: why the session is a superuser's, None where it is not.
    """

    def __init__(self, session, role, unguarded=None):
        self.session = session
        self.role = role
        self.unguarded = unguarded

    @contextlib.contextmanager
    def on(self, table):
        """Run statements on a table within: where the session is a superuser's, in a transaction
        in which no code of others can run.

        Args:
            table: {id, schema, table}: its oid, and its names, by which the statements name it.

        Raises:
            CodeOfOthers: there is some, or another relation has the table's name now.
            ReadOnly: the server is a standby, where the locks cannot be taken.
        """
        if self.unguarded is None:
            yield
            return
        refuse_standby(self.session, "what a superuser does in such a table")
        shown = "%s.%s" % (table["schema"], table["table"])
        with self.session.transaction():
            self.session.rows(_HOLD_SCHEMA, [table["schema"]])
            # It conflicts with all that gives a table code: CREATE TRIGGER, RULE, POLICY, INDEX,
            # STATISTICS, ATTACH PARTITION, and not with reading or writing rows.
            self.session.execute(
                "LOCK TABLE ONLY %s.%s IN SHARE UPDATE EXCLUSIVE MODE"
                % (identifier(table["schema"]), identifier(table["table"]))
            )
            held = self.session.rows(_HELD, [table["schema"], table["table"]])
            if held != [{"id": table["id"], "kind": "r"}]:
                raise CodeOfOthers(
                    "%s has become another relation since it was found: run it again" % shown
                )
            code = self.session.rows(_CODE, [table["id"], table["id"]])
            if code:
                raise CodeOfOthers(self._refusal(shown, code[0]))
            yield

    def _refusal(self, shown, code):
        return (
            "%s: with the rights of %s, a statement there would run what belongs to others: %s %s"
            "%s. Let the table's owner do it: give owner_password, or env_file with its"
            " DATABASE_USER and DATABASE_PASSWORD (%s)"
        ) % (
            shown,
            self.role,
            code["what"],
            code["name"],
            " (%s)" % code["runs"] if code["runs"] else "",
            self.unguarded,
        )


@contextlib.contextmanager
def opened(login, params, deadline, tables, name):
    """Yield the ``TableSession`` for the statements on a table and its partitions.

    Args:
        login: the acting ``session.Session`` of the module's own login.
        params: the options of postgresql.CONNECTION and of OWNER.
        deadline: the Deadline of all that the session does.
        tables: {schema, table, owner} of the table and of each of its partitions.
        name: the session's application_name.

    Raises:
        CodeOfOthers: the login has a superuser's rights only by way of another role, and the owner
            does not log in.
    """
    rights = login.rows(_RIGHTS)[0]
    owners = sorted({table["owner"] for table in tables})
    if not rights["powerful"] or (owners == [rights["role"]] and not rights["superuser"]):
        yield TableSession(login, rights["role"])
        return
    try:
        session = _logged_in(login, params, deadline, owners, name)
    except NoLogin as reason:
        if not rights["superuser"]:
            raise CodeOfOthers(
                "%s.%s: code in this table would run with the rights of %s, which reach beyond the"
                " table. Let the table's owner do it: give owner_password, or env_file with its"
                " DATABASE_USER and DATABASE_PASSWORD (%s)"
                % (tables[0]["schema"], tables[0]["table"], rights["role"], reason)
            ) from reason
        yield TableSession(login, rights["role"], unguarded=str(reason))
        return
    with session:
        yield TableSession(session, owners[0])


def _logged_in(login, params, deadline, owners, name):
    """Return a session that the only owner has logged in to.

    Raises:
        NoLogin: it has not; the message says why.
    """
    if len(owners) > 1:
        raise NoLogin("its partitions belong to several roles: %s" % ", ".join(owners))
    owner = owners[0]
    found = credentials(params, owner)
    reasons = []
    for host, port in found["endpoints"]:
        try:
            session = connect(
                {
                    "login_host": host,
                    "login_port": port,
                    "login_user": owner,
                    "login_password": found["password"],
                    "login_db": params["login_db"],
                    "ssl_mode": params["ssl_mode"],
                    "ca_cert": params["ca_cert"],
                },
                deadline,
                acting=True,
                name=name,
                reserve=False,
                login_timeout=_LONGEST_LOGIN,
            )
        except (errors.PostgresError, DeadlineExceeded) as error:
            reasons.append("%s does not log in at %s:%d: %s" % (owner, host, port, error))
            if isinstance(error, _ELSEWHERE + (DeadlineExceeded,)):
                continue
            break
        try:
            _verify(login, session, owner)
        except BaseException:
            session.close()
            raise
        return session
    raise NoLogin(reasons[0])


def _verify(login, session, owner):
    """Check that a session is the owner's, by what the server says of it in the trusted one.

    Raises:
        NoLogin: it is not.
    """
    own = session.rows(_SELF)[0]
    if {own["session_role"], own["role"]} != {owner}:
        raise NoLogin("the session is one of %s, not of %s" % (own["role"], owner))
    seen = login.rows(_OTHER, [own["pid"], own["backend_start"]])
    if not seen:
        raise NoLogin("the server that accepts %s is another one, or has another database" % owner)
    if seen[0]["role"] != owner:
        raise NoLogin("the session is one of %s, not of %s" % (seen[0]["role"], owner))
    if seen[0]["superuser"]:
        raise NoLogin("the owner, %s, has a superuser's rights itself" % owner)


def credentials(params, owner):
    """Return how the owner of a table logs in: {password, endpoints: [(host, port), ...]}.

    Options win over the app's ``.env``. The server is the one of the module's own login; the
    address of the ``.env`` is tried where the server does not allow the owner there.

    Raises:
        NoLogin: no credentials of the owner are known.
    """
    password, user, app = params["owner_password"], params["owner_user"], None
    why = None
    if not password:
        app, why = _of_app(params["env_file"])
    if user and user != owner:
        raise NoLogin("it belongs to %s, and owner_user is %s" % (owner, user))
    if app and app["user"] != owner:
        app, why = (
            None,
            "it belongs to %s, not to the DATABASE_USER of %s"
            % (
                owner,
                params["env_file"],
            ),
        )
    if not password and app is None and not user:
        raise NoLogin(why)
    password = password or (app and app["password"]) or None
    host, port = params["login_host"], location.port(params)
    if params["owner_host"]:
        endpoints = [(params["owner_host"], params["owner_port"] or port)]
    else:
        endpoints = [(host or "127.0.0.1", params["owner_port"] or port)]
        if app and app["host"]:
            endpoints.append((app["host"], app["port"]))
    return {"password": password, "endpoints": list(dict.fromkeys(endpoints))}


def _of_app(path):
    """Return (the app's ``app_config.database_target`` or None, why there is none)."""
    reading, reason = app_config.read(path)
    if reading is None:
        return None, reason or "no password of its owner is known: there is no %s" % path
    try:
        target = app_config.database_target(app_config.settings(reading, {}))
    except NotHere as other:
        return None, str(other)
    if not target["user"] or not target["password"]:
        return None, "%s has no DATABASE_USER with a DATABASE_PASSWORD" % path
    return target, None
