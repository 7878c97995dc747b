# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app's keys that make an attack harder, and who may read its .env."""

from __future__ import annotations

import stat

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding

#: what SESSION_TIMEOUT may be at most, in seconds: the guide's 30 minutes
LONGEST_SESSION = 1800
#: keys that must be on
SWITCHES = ("REQUIRE_MFA", "ENABLE_RATE_LIMITING")
_TRUE = ("true", "1", "yes", "on", "y", "t")


def weak(settings):
    """Return {key: what is wrong with it} among the app's security keys (pure).

    Args:
        settings: {name: value} the app runs with.
    """
    found = {}
    for name in SWITCHES:
        value = settings.get(name)
        if value is None:
            found[name] = "is not set"
        elif value.strip().lower() not in _TRUE:
            found[name] = "is %r" % value[:20]
    value = settings.get("SESSION_TIMEOUT")
    if value is None:
        found["SESSION_TIMEOUT"] = "is not set"
    elif not value.strip().isdigit():
        found["SESSION_TIMEOUT"] = "is %r, which is not a number of seconds" % value[:20]
    elif not 0 < int(value) <= LONGEST_SESSION:
        found["SESSION_TIMEOUT"] = "is %s s, more than %d s" % (value.strip(), LONGEST_SESSION)
    return found


def decide(ctx, environment):
    """Return the findings about the app's security keys: those that it runs with, and those that
    its next start gets.
    """
    if environment["mode"] is None:
        return _without_file(environment, "security.keys")
    found = {**weak(environment["plain_next"]), **weak(environment["plain"])}
    for name in environment["hidden"]:
        found.pop(name, None)  # what is not known is a gap
    findings = []
    mfa = found.pop("REQUIRE_MFA", None)
    if mfa:
        findings.append(
            finding(
                "security.mfa.off",
                "security",
                "warn",
                "REQUIRE_MFA %s: a password that was guessed is enough to log in" % mfa,
                evidence={"path": environment["path"]},
                remedy="require_mfa",
                advice=(
                    "Set it to true once every user has a second factor: who has none cannot log in"
                    " then."
                ),
            )
        )
    if found:
        shown = ", ".join("%s %s" % item for item in sorted(found.items()))
        findings.append(
            finding(
                "security.keys.weak",
                "security",
                "warn",
                "%d security keys of the app are weak: %s" % (len(found), shown),
                value=len(found),
                unit="weak keys",
                warn=1,
                evidence={"path": environment["path"], "keys": found},
                remedy="rate_limit_keys",
                advice="Set them in %s and restart the app." % environment["path"],
            )
        )
    if findings:
        return findings
    summary = "Second factor, session timeout and rate limit of the app are as they should be"
    return [finding("security.keys.ok", "security", "ok", summary)]


def decide_file(ctx, environment):
    """Return the finding about who may read and write the files with the app's secrets."""
    if environment["mode"] is None:
        return _without_file(environment, "security.env")
    files = environment["files"]
    open_to_all = [one for one in files if one["mode"] & (stat.S_IROTH | stat.S_IWOTH)]
    if open_to_all:
        path, mode = open_to_all[0]["path"], open_to_all[0]["mode"]
        may = "write" if mode & stat.S_IWOTH else "read"
        return [
            finding(
                "security.env.readable",
                "security",
                "fail",
                "Every user of the host may %s %s (mode %04o), and it holds the app's secrets"
                % (may, path, mode),
                evidence={"path": path, "mode": "%04o" % mode},
                # The remedy changes the file that holds the settings.
                remedy="rate_limit_keys" if path == environment["path"] else None,
                advice=(
                    "Give it the mode 0600. If others than the app's people can log in there, give"
                    " the secrets new values."
                ),
            )
        ]
    path, mode = environment["path"], environment["mode"]
    summary = "%s has the mode %04o" % (path, mode)
    evidence = {"path": path, "mode": "%04o" % mode}
    return [finding("security.env.ok", "security", "ok", summary, evidence=evidence)]


def _without_file(environment, subject):
    """Return what there is to say where there is no .env to read; its own check says the rest."""
    if not environment["error"]:
        summary = "%s does not exist" % environment["path"]
        return [finding(subject + ".skipped", "security", "skipped", summary)]
    return [finding(subject + ".unknown", "security", "unknown", environment["error"])]
