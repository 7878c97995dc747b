# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The name servers that the app's services depend on, each queried and timed."""

from __future__ import annotations

import threading

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere, finding
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config
from ansible_collections.sergas.ops.plugins.module_utils._net import dns

_SECONDS = 2.0
#: resolv.conf(5) waits five seconds for a server before it tries the next one.
_SLOW = 1.0
_USELESS = ("server failure", "refused")


def observe(ctx):
    """Return the name that was queried and what each server answered.

    Raises:
        NotHere: the app needs no name of a server.
    """
    names = [
        name
        for name in app_config.service_hosts(ctx.settings)
        if addresses.known(name) is None and name not in _known(_read("/etc/hosts"))
    ]
    if not names:
        raise NotHere("The app uses no name that a name server has to know")
    deadline = ctx.deadline.within(_SECONDS)
    answers = []
    threads = [
        threading.Thread(
            target=lambda server=server: answers.append(dns.query(server, names[0], deadline)),
            daemon=True,
        )
        for server in dns.servers(_read("/etc/resolv.conf"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_SECONDS + 0.5)
    order = dns.servers(_read("/etc/resolv.conf"))
    answers.sort(key=lambda answer: order.index(answer["server"]))
    return {"name": names[0], "servers": answers}


def decide(ctx, resolver):
    """Return the finding about the name servers."""
    failing = [item for item in resolver["servers"] if _fails(item)]
    slow = [item for item in resolver["servers"] if not _fails(item) and item["seconds"] >= _SLOW]
    evidence = dict(resolver)
    if not failing and not slow:
        summary = "Each of %d name servers answers within %g s" % (
            len(resolver["servers"]),
            max(item["seconds"] for item in resolver["servers"]),
        )
        return [finding("host.resolver.ok", "host", "ok", summary, evidence=evidence)]
    dead = len(failing) == len(resolver["servers"])
    first = (failing or slow)[0]
    what = first["error"] or first["answer"] if failing else "%g s" % first["seconds"]
    return [
        finding(
            "host.resolver.failing",
            "host",
            "fail" if dead else "warn",
            "%s %s (queried for %s): %s"
            % (
                "No name server answers, first"
                if dead
                else "The name server"
                if failing
                else "The name server is slow:",
                first["server"],
                resolver["name"],
                what,
            ),
            reason="dead" if dead else "server:" + first["server"],
            evidence=evidence,
            advice="Correct /etc/resolv.conf (resolvectl status), or bring that server back: each"
            " lookup waits for it first.",
        )
    ]


def _fails(item):
    return item["error"] is not None or item["answer"] in _USELESS


def _known(text):
    """Return the names in the text of /etc/hosts."""
    found = {"localhost"}
    for line in text.splitlines():
        found.update(line.partition("#")[0].split()[1:])
    return found


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:  # path: /etc
            return handle.read(65536)
    except OSError:
        return ""
