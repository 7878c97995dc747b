# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses of the inventory's hosts. No other code computes them.

A host's addresses are its variable ``sergas_addresses`` where that is set, since these are what the
hosts use among themselves; else its ``ansible_host``, which may be an address for management only;
else its name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleError
from jinja2 import Undefined

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses

#: What a variable that is a template contains.
_TEMPLATE = ("{{", "{%")


class Unresolved(ValueError):
    """A host's name has no address that other hosts could use; the message says what to do."""


def read(
    hostvars: Mapping[str, Any],
    host: str,
    names: Iterable[str],
    raw: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return {name: value} of some variables of a host, None for those that it does not have and
    for those that name an undefined variable.

    They are read as they are and templated only where they are templates: ``hostvars[host]`` takes
    many times as long.

    Args:
        hostvars: Ansible's, or a plain ``{host: {name: value}}``.
        host: the name of a host, which need not be in the inventory.
        names: of the variables.
        raw: the host's variables where they were read before.
    """
    if raw is None:
        raw = _raw(hostvars, host)
    values = {name: raw.get(name) for name in names}
    return {
        name: _templated(hostvars, host, name) if is_template(value) else value
        for name, value in values.items()
    }


def _templated(hostvars: Mapping[str, Any], host: str, name: str) -> Any:
    """Return the value of a variable that is a template, None where it cannot be templated: one
    such host is reported, and must not keep the others from it.
    """
    try:
        value = hostvars[host][name]
        # ansible-core before 2.19 returns what cannot be templated as it is; newer ones raise, or
        # return a mark for it within another template.
        return None if is_template(value) or isinstance(value, Undefined) else value
    # A variable of a play is none of the host's own.
    except (AnsibleError, KeyError):
        return None


def _raw(hostvars: Any, host: str) -> Mapping[str, Any]:
    if host not in hostvars:
        return {}
    return hostvars.raw_get(host) if hasattr(hostvars, "raw_get") else hostvars[host]


def is_template(value: Any) -> bool:
    """Return whether a variable's value, or one of its list, is a template."""
    if isinstance(value, (list, tuple)):
        return any(map(is_template, value))
    return isinstance(value, str) and any(mark in value for mark in _TEMPLATE)


def _given(
    hostvars: Mapping[str, Any], host: str, raw: Mapping[str, Any] | None = None
) -> tuple[list[str], str]:
    """Return (sergas_addresses as a list of texts, ansible_host or the name) of a host."""
    values = read(hostvars, host, ("sergas_addresses", "ansible_host"), raw)
    given = values["sergas_addresses"] or []
    if isinstance(given, str):
        # In an inventory of the INI format, [192.0.2.1, 192.0.2.2] is a text.
        given = re.findall(r"[^][,'\"\s]+", given)
    return [str(text) for text in given], str(values["ansible_host"] or host)


def declared(
    hostvars: Mapping[str, Any],
    host: str,
    raw: Mapping[str, Any] | None = None,
    reached_too: bool = False,
) -> list[str]:
    """Return the addresses, networks and names that the inventory has for a host, in its order and
    in the notation of the packet filter.

    Args:
        hostvars, host, raw: as for ``read``.
        reached_too: whether to add where Ansible reaches the host, if that is another address.

    Raises:
        addresses.AddressError: one of them is none of these; the message names the variable.
    """
    given, reached = _given(hostvars, host, raw)
    texts = [("sergas_addresses", text) for text in given]
    if not given or reached_too:
        texts.append(("ansible_host", reached))
    named = [addresses.option_or_name("%s of %s" % (name, host), text) for name, text in texts]
    return list(dict.fromkeys(named))


def known_as(
    hostvars: Mapping[str, Any], host: str, raw: Mapping[str, Any] | None = None
) -> list[str]:
    """Return all that others may know a host by, as the inventory has it: its ``sergas_addresses``
    and its ``ansible_host``, else its name.

    Args:
        hostvars, host, raw: as for ``read``.
    """
    given, reached = _given(hostvars, host, raw)
    return list(dict.fromkeys([*given, reached]))


def resolved(name: str, look_up: Callable[..., Iterable[Any]] = socket.getaddrinfo) -> list[str]:
    """Return all addresses of a name, those of IPv4 first; an address, a network or ``localhost``
    as it is.

    Loopback addresses are left out: ``/etc/hosts`` of a machine may have one for the machine's own
    name, where other hosts do not reach it.

    Args:
        name: as ``declared`` returns it.
        look_up: resolves a name, as ``socket.getaddrinfo``.

    Raises:
        Unresolved: the name has no such address.
    """
    if addresses.known(name) is not None or addresses.is_loopback(name):
        return [name]
    try:
        answers = look_up(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unresolved(
            "the name %s cannot be resolved on the controller: %s"
            % (name, getattr(error, "strerror", None) or error)
        ) from error
    found = {addresses.canonical(answer[4][0]) for answer in answers}
    usable = [text for text in found if not addresses.is_loopback(text)]
    if not usable:
        raise Unresolved(
            "the name %s has only loopback addresses on the controller (%s)"
            % (name, ", ".join(sorted(found)))
        )
    return sorted(usable, key=lambda text: (addresses.family(text), text))


def host_addresses(
    hostvars: Mapping[str, Any],
    hosts: Iterable[str],
    own: str | None = None,
    strict: bool = True,
    look_up: Callable[..., Iterable[Any]] = socket.getaddrinfo,
) -> list[str]:
    """Return the addresses of hosts, each once: where their connections to other hosts come from.

    Args:
        hostvars: as for ``read``.
        hosts: their names, in the order of the result.
        own: the host that these are for. It is left out: what it sends to itself is on its loopback
            interface, which no packet filter keeps out.
        strict: whether a name without an address is refused. Otherwise it is left as it is, for the
            host to report on.
        look_up: as for ``resolved``.

    Raises:
        addresses.AddressError, Unresolved: the message has the host and what to do.
    """
    found = []
    for host in hosts:
        if host == own:
            continue
        for name in declared(hostvars, host):
            try:
                found += resolved(name, look_up)
            except Unresolved as error:
                if strict:
                    raise Unresolved(
                        "%s: %s. Set sergas_addresses of %s to the addresses that the other hosts"
                        " see it with" % (host, error, host)
                    ) from error
                found.append(name)
    return list(dict.fromkeys(found))


def host_targets(
    hostvars: Mapping[str, Any],
    hosts: Iterable[str],
    port_variable: str | None = None,
    port: int | None = None,
) -> list[str]:
    """Return where hosts are reached by the others, as a URL has it: the first address of each.

    A name stays a name: it is resolved by the host that connects, as the app itself does it, and
    certificates and the report know the host by it.

    Args:
        hostvars: as for ``read``.
        hosts: their names.
        port_variable: the variable of a host that has its port.
        port: that of hosts without the variable; with neither there is none in the result.

    Raises:
        addresses.AddressError: the message has the host.
    """
    found = []
    for host in hosts:
        raw = _raw(hostvars, host)
        name = declared(hostvars, host, raw)[0]
        target = "[%s]" % name if ":" in name else name
        own = read(hostvars, host, [port_variable], raw)[port_variable] if port_variable else None
        found.append("%s:%s" % (target, own or port) if own or port else target)
    return found
