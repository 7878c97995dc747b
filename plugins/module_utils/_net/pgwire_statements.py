# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statements with parameters over the built-in client: the extended query protocol.

A value goes to the server beside the statement, never in its text.
"""

from __future__ import annotations

import struct

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._net import pgwire, tcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Sequence, Tuple

    from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline

_CANCEL_REQUEST = 80877102
#: Unspecified: the server takes the type from the context.
_UNSPECIFIED = 0
_BOOL, _INT4, _INT8, _FLOAT8, _NUMERIC = 16, 23, 20, 701, 1700
_ARRAYS = {_BOOL: 1000, _INT4: 1007, _INT8: 1016, _FLOAT8: 1022, _NUMERIC: 1231, _UNSPECIFIED: 1009}


class StatementSession(pgwire.Session):
    """A session in which statements with parameters can be run."""

    #: A result is one value of JSON, and a server that has authenticated this client is trusted to
    #: send no more than it was queried for.
    longest_message = 256 * 1024 * 1024

    @property
    def deadline(self) -> Deadline:
        """The Deadline of all that the session does."""
        return self._stream.deadline

    @deadline.setter
    def deadline(self, deadline: Deadline) -> None:
        self._stream.deadline = deadline

    def execute(
        self, statement: str, parameters: Sequence[Any]
    ) -> Tuple[List[int], pgwire.Rows, int]:
        """Run one statement and return (the types of the columns as oids, rows of text or None,
        how many rows it touched).

        Args:
            statement: SQL with ``$1``, ``$2``, ... for the parameters.
            parameters: None, bool, int, float, str, or lists of these.
        """
        encoded = [encode(value) for value in parameters]
        text = statement.encode("utf-8")
        if b"\0" in text:
            raise InvalidValue("a statement cannot hold a null character")
        count = struct.pack("!h", len(encoded))
        oids = b"".join(struct.pack("!I", oid) for oid, _data in encoded)
        values = b"".join(
            struct.pack("!i", -1) if data is None else struct.pack("!i", len(data)) + data
            for _oid, data in encoded
        )
        self._stream.send(
            # The statement and the portal without a name; all in the format of text.
            pgwire.message(b"P", b"\0" + text + b"\0" + count + oids)
            + pgwire.message(b"B", b"\0\0" + b"\0\0" + count + values + b"\0\0")
            + pgwire.message(b"D", b"P\0")
            + pgwire.message(b"E", b"\0\0\0\0\0")
            + pgwire.message(b"S", b"")
        )
        types, rows, tag = self._result()
        # For example `INSERT 0 7`, `UPDATE 3` or `CREATE TABLE`.
        last = tag.rstrip(b"\0").rpartition(b" ")[2]
        return types, rows, int(last) if last.isdigit() else 0

    def cancel(
        self, host: str, port: int, encryption: pgwire.Encryption, deadline: Deadline
    ) -> None:
        """Have the server cancel what the session does; failures have no consequence.

        Args:
            host, port: as for ``pgwire.connect``.
            encryption: the arguments of ``pgwire.encrypt`` after the host.
        """
        if host.startswith("/"):
            host = "%s/.s.PGSQL.%s" % (host, port)
        try:
            with tcp.connect(host, port, deadline) as stream:
                if self.encrypted:
                    pgwire.encrypt(stream, host, *encryption)
                request = struct.pack("!i", _CANCEL_REQUEST) + self._cancel_key
                stream.send(struct.pack("!i", len(request) + 4) + request)
                # The server closes the connection when it has sent the signal.
                stream.read(1)
        except (tcp.ConnectionFailed, OSError):
            pass


def encode(value: Any) -> Tuple[int, Optional[bytes]]:
    """Return (the oid of a value's type, the value as bytes or None) for a parameter.

    The types are those that the same value has as a literal in a statement.
    """
    if value is None:
        return _UNSPECIFIED, None
    if isinstance(value, list):
        if not value:
            return _UNSPECIFIED, b"{}"
        if any(isinstance(item, list) for item in value):
            raise TypeError("a list in a list cannot be used in SQL here")
        oids = {encode(item)[0] for item in value if item is not None}
        oid = max(oids, key=_WIDTHS.index, default=_UNSPECIFIED)
        return _ARRAYS[oid], b"{%s}" % b",".join(_element(item) for item in value)
    if isinstance(value, bool):
        return _BOOL, b"t" if value else b"f"
    if isinstance(value, int):
        oid = _INT4 if -(2**31) <= value < 2**31 else _INT8
        return oid if -(2**63) <= value < 2**63 else _NUMERIC, b"%d" % value
    if isinstance(value, float):
        return _FLOAT8, repr(value).encode("ascii")
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidValue("a text in PostgreSQL cannot hold a null character")
        return _UNSPECIFIED, value.encode("utf-8")
    raise TypeError("a value of type %s cannot be used in SQL here" % type(value).__name__)


#: Of the elements of an array, the last one of these counts.
_WIDTHS = (_BOOL, _INT4, _INT8, _NUMERIC, _FLOAT8, _UNSPECIFIED)


def _element(value: Any) -> bytes:
    data = encode(value)[1]
    if data is None:
        return b"NULL"
    return b'"%s"' % data.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
