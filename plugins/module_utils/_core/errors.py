# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of all errors that a module reports as its failure instead of as a traceback."""

from __future__ import annotations

import contextlib
import errno
import os

# A diagnosis does not load it: that takes as long as a probe, and only a type checker needs it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, Optional


class OperationError(Exception):
    """The requested operation cannot be done or has failed; the message says why.

    Attributes:
        hint: what to do next, or None where the message says it.
        library: the Python library that is missing on the host, if that is the reason.
        result: what the module's result holds besides the message.
    """

    hint: Optional[str] = None
    library: Optional[str] = None
    result: Dict[str, Any] = {}

    def __init__(self, message: str = "", hint: Optional[str] = None, **result: Any) -> None:
        super().__init__(message)
        if hint:
            self.hint = hint
        if result:
            self.result = result


class InvalidValue(OperationError, ValueError):
    """An option, or a value read on the host, is not allowed; the message says what is."""


@contextlib.contextmanager
def reported(path: Optional[str] = None) -> Iterator[None]:
    """Turn an ``OSError`` of the block, or of the decorated function, into an ``OperationError``.

    Args:
        path: what is named in the message where the error names no file.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or type(error).__str__ is not OSError.__str__:
            message = str(error)
        else:
            named = error.filename or path
            message = "%s: %s" % (named, error.strerror) if named else str(error.strerror)
        denied = error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0
        raise OperationError(message, "run with become" if denied else None) from error
