# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sshd's settings as it would use them for root from outside, and which of them are weak."""

from __future__ import annotations

import os

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Check, Probe
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    NotHere,
    Unmeasurable,
    finding,
)

#: A Match block that allows more counts for any client from anywhere.
_SPECIFICATION = "user=root,host=outside.invalid,addr=192.0.2.1"
#: OpenSSH's own names of what it has taken out of its defaults for good reason.
_WEAK_CIPHERS = ("3des-cbc", "arcfour", "blowfish-cbc", "cast128-cbc", "aes128-cbc")
_WEAK_MACS = ("hmac-md5", "hmac-ripemd160", "hmac-sha1-96", "umac-32")
_WEAK_EXCHANGES = (
    "diffie-hellman-group1-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group-exchange-sha1",
)
_MOST_TRIES = 6
_ORDER = ("ok", "warn", "fail")


def observe(ctx):
    """Return {setting: value} of ``sshd -T``, and ``error`` where sshd refuses its configuration.

    Raises:
        NotHere: no sshd on this host.
        PermissionError: only root may query it.
        Unmeasurable: what it prints are no settings.
    """
    if process.find("sshd") is None:
        raise NotHere("sshd is not on this host")
    if os.geteuid():
        raise PermissionError(1, "only root may query it", "sshd's host keys")
    status, out, err = process.run(["sshd", "-T", "-C", _SPECIFICATION], ctx.deadline)
    if status:
        return {"error": (err.strip().splitlines() or ["exit status %d" % status])[-1][:300]}
    found = parse(out)
    if "permitrootlogin" not in found or "port" not in found:
        raise Unmeasurable("sshd -T does not print its settings")
    return found


def parse(text):
    """Return {setting: value} of what ``sshd -T`` prints; of several values the last (pure)."""
    settings = {}
    for line in text.splitlines():
        name, _space, value = line.strip().partition(" ")
        if name:
            settings[name.lower()] = value.strip()
    return settings


def weaknesses(settings):
    """Return [(setting, value, ``warn`` or ``fail``, why)] of weak settings (pure).

    Args:
        settings: as parse.
    """
    found = []

    def weak(name, status, why):
        found.append((name, settings.get(name, ""), status, why))

    passwords = [
        name
        for name in (
            "passwordauthentication",
            "kbdinteractiveauthentication",
            "challengeresponseauthentication",
        )
        if settings.get(name) == "yes"
    ]
    if settings.get("permitemptypasswords") == "yes" and passwords:
        weak("permitemptypasswords", "fail", "an account without a password lets any client log in")
    if settings.get("permitrootlogin") == "yes" and passwords:
        weak("permitrootlogin", "fail", "root's password can be guessed")
    for name in passwords[:1]:
        weak(name, "warn", "passwords can be guessed, keys cannot")
    if settings.get("strictmodes") == "no":
        weak("strictmodes", "fail", "keys count that other users can write")
    if settings.get("hostbasedauthentication") == "yes":
        weak("hostbasedauthentication", "warn", "root of any known host can log in")
    if settings.get("ignorerhosts") == "no":
        weak("ignorerhosts", "warn", "users decide which hosts are trusted")
    if settings.get("permituserenvironment") == "yes":
        weak("permituserenvironment", "warn", "users get past what their login is limited to")
    if settings.get("loglevel", "INFO") in ("QUIET", "FATAL", "ERROR"):
        weak("loglevel", "warn", "failed logins are not logged, so no jail sees them")
    if _number(settings.get("maxauthtries")) > _MOST_TRIES:
        weak("maxauthtries", "warn", "a connection may try more than %d times" % _MOST_TRIES)
    if settings.get("logingracetime") == "0":
        weak("logingracetime", "warn", "connections that never log in stay for ever")
    for name, known in (
        ("ciphers", _WEAK_CIPHERS),
        ("macs", _WEAK_MACS),
        ("kexalgorithms", _WEAK_EXCHANGES),
    ):
        offered = settings.get(name, "").split(",")
        broken = [item for item in offered if item.startswith(known)]
        if broken:
            found.append((name, ",".join(broken), "warn", "these can be broken"))
    return found


def _number(text):
    return int(text) if text and text.isdigit() else 0


def decide(_ctx, settings):
    """Return the finding about sshd's settings (pure)."""
    if "error" in settings:
        return [
            finding(
                "security.sshd.invalid",
                "security",
                "fail",
                "sshd refuses its own configuration, it would not come back from a restart: %s"
                % settings["error"],
                advice="Run sshd -t as root and fix what it names, before sshd restarts.",
            )
        ]
    found = weaknesses(settings)
    if not found:
        return [
            finding(
                "security.sshd.ok",
                "security",
                "ok",
                "No weak setting among %d of sshd" % len(settings),
                value=0,
                unit="weak settings",
                warn=1,
            )
        ]
    worst = max((item[2] for item in found), key=_ORDER.index)
    return [
        finding(
            "security.sshd.weak",
            "security",
            worst,
            "%d settings of sshd are weak: %s"
            % (len(found), ", ".join("%s %s" % item[:2] for item in found))[:400],
            value=len(found),
            unit="weak settings",
            warn=1,
            evidence={
                "settings": [
                    {"name": name, "value": value, "status": status, "why": why}
                    for name, value, status, why in found
                ]
            },
            advice=(
                "Set them in a file of /etc/ssh/sshd_config.d, test with sshd -t, reload, and log"
                " in anew before the old session ends. Passwords only go once your key works."
            ),
        )
    ]


PROBES = {"sshd": Probe(observe, 5)}
CHECKS = {
    "sshd": Check(
        decide, ("sshd",), "security.sshd", "security", (), "Unauthorized Access Attempts"
    )
}
