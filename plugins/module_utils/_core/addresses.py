# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IP addresses and networks in every notation that logs, options and files have them in.

This is the only parser of addresses. It answers two different questions:

- Which address does the packet filter see? An IPv4-mapped address (``::ffff:192.0.2.7``, RFC 4291
  2.5.5.2) is never on the wire: it is how a dual-stack socket shows an IPv4 client. So it is that
  IPv4 address here, and a mapped network is that IPv4 network.
- Whom does an address lead to? Addresses of 6to4 (RFC 3056), Teredo (RFC 4380), NAT64 (RFC 6052,
  RFC 8215) and the old IPv4-compatible ones (RFC 4291 2.5.5.1) are on the wire as they are, so they
  are banned and compared as they are. They lead to a client that has an IPv4 address, so what
  protects that address protects them, and the other way round: ``overlap`` and ``covering``.

The module ``ipaddress`` is imported where a text is not plain IPv4 or is really compared, because
its import would be a part of the time that a diagnosis takes.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ipaddress
    from typing import Any, Callable, Iterable, List, Optional, Tuple, Union

    Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
    Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

#: No address, network, zone and port is longer.
_LONGEST = 160
_SHOWN = 60
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PLAIN_IPV4 = re.compile(r"%s(?:\.%s){3}\Z" % (_OCTET, _OCTET), re.ASCII)
#: [address%zone]/length:port, with all but the address optional. Compiled where it is needed.
_PARTS = (
    r"(?:\[(?P<inner>[0-9A-Fa-f:.]+)(?:%(?P<zone_in>[A-Za-z0-9_.~-]{1,64}))?\]"
    r"|(?P<bare>[0-9A-Fa-f:.]+?)(?:%(?P<zone>[A-Za-z0-9_.~-]{1,64}))?)"
    r"(?:/(?P<mask>[0-9.]{1,15})|:(?P<port>[0-9]{1,5}))?\Z"
)
#: The last label of a host name is no number (RFC 3696): a number would be an address.
_NAME = r"(?=.{1,253}\Z)(?:[\w-]{1,63}\.)*(?!\d+\.?\Z)(?!0x)[\w-]{1,63}\.?\Z"
_LOCAL_NAMES = ("localhost", "localhost.localdomain")

#: ::ffff:0:0/96
_MAPPED, _MAPPED_BITS = 0xFFFF, 96
#: IPv6 prefixes with an IPv4 address inside: (first bits as a number, their count, how many bits
#: follow the embedded address, whether it is inverted)
_EMBEDDING = (
    (0, 96, 0, False),  # IPv4-compatible, ::/96
    (0x2002, 16, 80, False),  # 6to4, 2002::/16
    (0x20010000, 32, 0, True),  # Teredo, 2001::/32
    (_MAPPED, _MAPPED_BITS, 0, False),  # IPv4-mapped: only as a part of a wider network
    (0x0064FF9B << 64, 96, 0, False),  # NAT64, 64:ff9b::/96
    (0x0064FF9B0001 << 48, 96, 0, False),  # NAT64 of a site, 64:ff9b:1::/96
    (0xFFFF0000, 96, 0, False),  # IPv4-translated (SIIT), ::ffff:0:0:0/96
    (0xFE8000000000000000005EFE, 96, 0, False),  # ISATAP, fe80::5efe:0:0/96
    (0xFE8000000000000002005EFE, 96, 0, False),  # ISATAP, of an address that is unique
)


class AddressError(InvalidValue):
    """A text is no address or no network; the message says which text and what is allowed."""


def address(text: str) -> Address:
    """Return the address that the packet filter sees.

    Args:
        text: an address in any notation: with spaces around, in brackets, with a zone, with a port
            (IPv6 in brackets, or IPv4-mapped), in upper case, IPv4-mapped, or as a network of one
            address.

    Returns:
        ipaddress.IPv4Address or ipaddress.IPv6Address

    Raises:
        AddressError: it is none.
    """
    found = network(text)
    if found.prefixlen != found.max_prefixlen:
        raise AddressError("%s is a network, not an address" % _shown(text))
    return found.network_address


def network(text: str) -> Network:
    """Return the network that the packet filter sees; an address is a network of one.

    Args:
        text: as for ``address``, or with a prefix length or a netmask; bits of the host are
            dropped.

    Returns:
        ipaddress.IPv4Network or ipaddress.IPv6Network

    Raises:
        AddressError: it is none.
    """
    base, mask = _take_apart(text)
    import ipaddress  # only where it is needed

    try:
        found = ipaddress.ip_network("%s/%s" % (base, mask) if mask else base, strict=False)
    except ValueError:
        raise AddressError(_no_address(text))
    if found.version == 6 and found.prefixlen >= _MAPPED_BITS:
        number = int(found.network_address)
        if number >> 32 == _MAPPED:
            short = found.prefixlen - _MAPPED_BITS
            return ipaddress.ip_network((number & 0xFFFFFFFF, short))
    return found


def _take_apart(text: str) -> Tuple[str, Optional[str]]:
    """Return (address, netmask or None) of a text, without brackets, zone and port."""
    if not isinstance(text, str):
        raise AddressError(_no_address(text))
    stripped = text.strip()
    if len(stripped) > _LONGEST:
        raise AddressError(_no_address(text))
    parts = re.match(_PARTS, stripped)
    if not parts:
        raise AddressError(_no_address(text))
    base, port = parts.group("inner") or parts.group("bare"), parts.group("port")
    zone = parts.group("zone_in") or parts.group("zone")
    if port is not None and not parts.group("inner") and not zone and ":" in base:
        # Without brackets, what looks like a port is the last group of an IPv6 address, unless an
        # IPv4 address is before it.
        if "." not in base:
            base, port = "%s:%s" % (base, port), None
    six = ":" in base
    if (zone and not six) or (port is not None and not 0 < int(port) < 65536):
        raise AddressError(_no_address(text))
    quad = base.rpartition(":")[2] if six else base
    if "." in quad and not _PLAIN_IPV4.match(quad):
        # Some programs read 010 as eight and others as ten, and 192.0.2 as 192.0.0.2.
        raise AddressError(_no_address(text))
    return base, parts.group("mask")


def _shown(text: Any) -> str:
    shown = repr(text)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."


def _no_address(text: Any) -> str:
    return "%s is neither an IPv4 nor an IPv6 address or network" % _shown(text)


def canonical(text: str) -> str:
    """Return an address or a network in the one notation that is compared and given to commands.

    Args:
        text: as for ``network``.

    Returns:
        str, of a network of one only the address.

    Raises:
        AddressError: it is none.
    """
    if isinstance(text, str) and _PLAIN_IPV4.match(text):
        return text
    return plain(network(text))


def plain(found: Network) -> str:
    """Return the text of a network; of a network of one only the address (pure)."""
    alone = found.prefixlen == found.max_prefixlen
    return str(found.network_address) if alone else str(found)


def known(text: Any) -> Optional[str]:
    """Return ``canonical`` of a text, or None where it is neither an address nor a network."""
    try:
        return canonical(text)
    except AddressError:
        return None


def same(text: Any) -> str:
    """Return a text to compare by: ``canonical`` of an address or a network, else the text in lower
    case without spaces around, as names of hosts are compared.
    """
    return known(text) or str(text).strip().lower()


def is_name(text: Any) -> bool:
    """Return whether a text may be the name of a host, which an address in a bad form is not."""
    return isinstance(text, str) and bool(re.match(_NAME, text.strip()))


def option(
    name: str,
    text: str,
    allowed: str = "an IPv4 or IPv6 address",
    parse: Callable[[str], Any] = address,
) -> str:
    """Return an address of a module's option in the canonical notation.

    Args:
        name: of the option.
        text: its value.
        allowed: what it may be, for the message.
        parse: ``address``, or ``network`` where networks are allowed.

    Raises:
        AddressError: the message has the option, the value and what is allowed.
    """
    try:
        parse(text)
        return canonical(text)
    except AddressError:
        raise AddressError("%s: %s is not %s" % (name, _shown(text), allowed))


def option_or_name(name: str, text: str) -> str:
    """Return an option's address or network in the canonical notation, or its host name.

    Raises:
        AddressError: it is none of these; the message has the option, the value and what is
            allowed.
    """
    found = known(text)
    if found is not None:
        return found
    if is_name(text):
        return text.strip()
    raise AddressError(
        "%s: %s is not an IPv4 or IPv6 address, a network or the name of a host"
        % (name, _shown(text))
    )


def family(text: str) -> int:
    """Return 4 or 6, the family that the packet filter sees an address or a network in.

    Raises:
        AddressError: it is none.
    """
    return 4 if _PLAIN_IPV4.match(text) else network(text).version


def within(inner: str, outer: str) -> bool:
    """Return whether all of a network lies in another one for the packet filter, which does not
    know whom an address leads to. What is no network lies in none and holds none.

    Args:
        inner: the text of an address or a network.
        outer: another one.
    """
    try:
        one, other = network(inner), network(outer)
    except AddressError:
        return False
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]


def leads_to(found: Network) -> List[Network]:
    """Return the networks that a network is or leads to (pure).

    Args:
        found: an ipaddress network.

    Returns:
        list of networks: itself first, then those of IPv4 behind 6to4, Teredo and the like. A
        network that holds a whole prefix of them leads to all of IPv4.
    """
    import ipaddress

    every = [found]
    if found.version == 4:
        return every
    number, length = int(found.network_address), found.prefixlen
    for prefix, bits, behind, inverted in _EMBEDDING:
        shared = min(bits, length)
        if number >> (128 - shared) != prefix >> (bits - shared):
            continue
        inside = max(0, min(32, length - (96 - behind)))
        quad = (number >> behind) & 0xFFFFFFFF
        if inverted:
            quad ^= 0xFFFFFFFF
        if not prefix and inside >= 8 and not quad >> 24:
            # :: and ::1 are no IPv4-compatible addresses, and no host has one of 0.0.0.0/8.
            continue
        every.append(ipaddress.ip_network((quad, inside), strict=False))
    return every


def overlap(one: str, other: str) -> bool:
    """Return whether two addresses or networks share an address, in whatever notation, or lead to
    the same client.

    Args:
        one: the text of an address or a network.
        other: another one.

    Raises:
        AddressError: one of them is none.
    """
    return _overlap(leads_to(network(one)), leads_to(network(other)))


def _overlap(ones: List[Network], others: List[Network]) -> bool:
    return any(
        one.version == other.version and one.overlaps(other) for one in ones for other in others
    )


def covering(networks: Iterable[str], text: str) -> Optional[str]:
    """Return the first of some networks that shares an address with another one, or None.

    Args:
        networks: texts; what is neither an address nor a network is passed over.
        text: an address or a network; None is returned for what is none.
    """
    try:
        sought = leads_to(network(text))
    except AddressError:
        return None
    for item in networks:
        try:
            candidate = network(item)
        except AddressError:
            continue
        if _overlap(leads_to(candidate), sought):
            return item
    return None


def is_no_client(text: str) -> bool:
    """Return whether no client has an address: loopback, unspecified, multicast or broadcast, in
    whatever notation.

    Raises:
        AddressError: it is none.
    """
    return any(
        found.is_loopback
        or found.is_unspecified
        or found.is_multicast
        or str(found) == "255.255.255.255/32"
        for found in leads_to(network(text))
    )


def is_loopback(text: Any) -> bool:
    """Return whether a text means this host itself: an address of loopback, or ``localhost``."""
    if not isinstance(text, str):
        return False
    if _PLAIN_IPV4.match(text):
        return text.startswith("127.")
    name = text.strip().lower().rstrip(".")
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    try:
        return network(text).is_loopback
    except AddressError:
        return False


def is_any(text: str) -> bool:
    """Return whether a text stands for all addresses of a host, as one that a server listens on."""
    if text in ("0.0.0.0", "::"):  # noqa: S104 (compared with, nothing is bound)
        return True
    try:
        return network(text).network_address.is_unspecified
    except AddressError:
        return False


def reached_at(text: str) -> str:
    """Return where a client on the same host connects to for what listens on an address."""
    if is_any(text):
        return "::1" if ":" in text else "127.0.0.1"
    return known(text) or text


def in_log(text: str, trimmed: str = "\"'(),;<>") -> Optional[str]:
    """Return ``canonical`` of an address as a log has it, or None.

    Args:
        text: a word of a log, possibly with punctuation around. A network is no client.
        trimmed: the punctuation.
    """
    if _PLAIN_IPV4.match(text):
        return text
    for word in (text.strip(trimmed), text.strip(trimmed + "[].")):
        try:
            return str(address(word))
        except AddressError:
            continue
    return None
