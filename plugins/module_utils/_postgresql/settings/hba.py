# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server would refuse in a pg_hba.conf, which it reads only at its start. Pure.

Nothing of a line is returned but its number: it may hold a password for LDAP or RADIUS.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses

_TYPES = ("local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc")
_METHODS = (
    "trust reject md5 password scram-sha-256 gss sspi ident peer pam bsd ldap radius cert oauth"
).split()
_INCLUDES = ("include", "include_if_exists", "include_dir")
_NAMES = ("all", "samehost", "samenet")
#: A part of a line: quoted texts, and what is neither a blank, a comma nor a comment.
_PART = re.compile(r'((?:"[^"\n]*"|[^\s,"#])+)(\s*,)?')


def faults(text, version, most=5):
    """Return why a server would not start with this file, one sentence for each, at most so many.

    Args:
        text: of the file.
        version: the server's major version.
    """
    found, rules = [], 0
    for number, line in _lines(text, version):
        fields = _fields(line)
        if not fields:
            continue
        rules += 1
        fault = _fault(fields, version)
        if fault:
            found.append("line %d: %s" % (number, fault))
    if not rules:
        found.append("it has no rule, so that no one could log in")
    return found[:most]


def _lines(text, version):
    """Yield (number of the first line, line), with those that are continued put together."""
    number, first, joined = 0, 0, ""
    for line in text.split("\n"):
        number += 1
        first = first or number
        # A backslash at the end counts since 14.
        if version >= 14 and line.endswith("\\"):
            joined += line[:-1]
            continue
        yield first, joined + line
        first, joined = 0, ""
    if joined:
        yield first, joined


def _fields(line):
    """Return the fields of a line; each is one part, or several with commas between them."""
    fields, continued = [], False
    position = 0
    while True:
        match = _PART.match(line, len(line) - len(line[position:].lstrip()))
        if match is None:
            return fields
        if continued:
            fields[-1] += "," + match.group(1)
        else:
            fields.append(match.group(1))
        continued = match.group(2) is not None
        position = match.end()


def _fault(fields, version):
    """Return what is wrong with the fields of a line, or None."""
    kind = fields[0].strip('"')
    if kind in _INCLUDES and version >= 16:
        return None if len(fields) == 2 else "%s takes one path" % kind
    if kind not in _TYPES:
        return "it begins with no type of connection (%s)" % ", ".join(_TYPES)
    if len(fields) < 3:
        return "the database or the role is missing"
    rest = fields[3:]
    if kind != "local":
        if not rest:
            return "the address is missing"
        masked = _address(rest.pop(0).strip('"'))
        if masked is None:
            return "the address is none"
        if masked and (not rest or not addresses.known(rest.pop(0).strip('"'))):
            return "the mask of the address is missing or none"
    if not rest:
        return "the method is missing"
    if rest[0].strip('"') not in _METHODS:
        return "there is no such method (%s)" % ", ".join(_METHODS)
    if any("=" not in option for option in rest[1:]):
        return "an option of the method has no value"
    return None


def _address(text):
    """Return whether a mask has to follow an address; None where it is no address."""
    if addresses.known(text):
        return "/" not in text
    return False if text in _NAMES or addresses.is_name(text.lstrip(".")) else None
