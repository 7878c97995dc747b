# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules for ports that containers publish: an engine sends them on before ufw sees them.

They stand in a separate table that comes before the engine's translation, where the port is
still the published one. Neither the engine nor ufw touches it, and it is replaced in one step.
"""

from __future__ import annotations

import hashlib

from ansible_collections.sergas.ops.plugins.module_utils._firewall import declaration, plan

TABLE = "sergas_published"
#: Containers among themselves are the engine's business.
_INSIDE = ("lo", "docker*", "br-*", "podman*", "cni*", "veth*")


def table(ports, wanted):
    """Return (rules for ``nft -f``, the name of a chain that only this text makes).

    Args:
        ports: dicts with port and protocol.
        wanted: the declared rules (``declaration.declare``); a port is open to whom they say.
    """
    lines = [
        "type filter hook prerouting priority -150; policy accept;",
        "ct state established,related accept",
    ]
    lines += ['iifname "%s" accept' % name for name in _INSIDE]
    lines.append("fib daddr type != local accept")
    unique = sorted({(item["protocol"], int(item["port"])) for item in ports})
    for protocol, port in unique:
        for rule in wanted:
            if plan.concerns(rule, protocol, port):
                lines.append(_line(rule, protocol, port))
        lines.append("%s dport %d drop" % (protocol, port))
    body = "\n".join("        " + line for line in lines)
    chain = "of_" + hashlib.sha256(body.encode("utf-8")).hexdigest()[:16]
    text = (
        "# Who may reach the ports that containers publish; written by sergas.ops.firewall.\n"
        "table inet {0} {{\n}}\ndelete table inet {0}\ntable inet {0} {{\n"
        "    chain {1} {{\n    }}\n    chain prerouting {{\n{2}\n    }}\n}}\n"
    )
    return text.format(TABLE, chain, body), chain


def _line(rule, protocol, port):
    words = ["%s dport %d" % (protocol, port)]
    if rule.interface:
        words.insert(0, 'iifname "%s"' % rule.interface)
    if rule.source == declaration.ANYWHERE[rule.family]:
        words.append("meta nfproto ipv%d" % rule.family)
    else:
        words.append("%s saddr %s" % ("ip" if rule.family == 4 else "ip6", rule.source))
    words.append("accept" if rule.action in ("allow", "limit") else "drop")
    return " ".join(words)


def bypassing(ports, wanted, current):
    """Return the published ports that anybody may reach though no rule says so.

    Args:
        ports: dicts with port, protocol and to.
        wanted: the declared rules.
        current: whether the table of these rules is in force.
    """
    if current:
        return []
    return [
        item
        for item in ports
        if not any(
            plan.concerns(rule, item["protocol"], item["port"])
            and rule.action in ("allow", "limit")
            and rule.source in declaration.ANYWHERE.values()
            for rule in wanted
        )
    ]
