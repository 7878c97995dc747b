# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app's configuration: what its .env says to the two that read it, and what the app gets."""

from __future__ import annotations

import os
import re
import stat

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import is_secret_name
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config
from ansible_collections.sergas.ops.plugins.module_utils._net import url


def problems(reading, required, own=(), by_systemd=True):
    """Return (missing, ambiguous): {name: reason} of required variables, and of the others.

    Args:
        reading: the ``Reading``, or None where there is no file.
        required: names, with ``|`` between alternatives.
        own: names that the unit sets itself.
        by_systemd: whether systemd reads the file, too.
    """
    values = reading.values if reading is not None else {}
    differ = {name: _difference(name, value) for name, value in values.items() if by_systemd}
    differ = {name: reason for name, reason in differ.items() if reason and name not in own}
    missing = {}
    for label in required:
        names = label.split("|")
        reasons = {
            name: differ.get(name) or _absence(name, values, reading)
            for name in names
            if name not in own
        }
        if len(reasons) == len(names) and all(reasons.values()):
            # Of the alternatives, the one that was set, if badly, says most.
            tried = [name for name in names if name in values or "line" in reasons[name]] or names[
                :1
            ]
            missing[tried[0]] = reasons[tried[0]]
    return missing, {name: reason for name, reason in differ.items() if name not in missing}


def _absence(name, values, reading):
    """Return why the app does not get a value for this name, or None if it does."""
    if name not in values:
        for line in reading.lines if reading is not None else ():
            if line.error and re.search(r"\b%s\b" % re.escape(name), line.text):
                return "line %d is malformed: %s" % (line.number, line.error)
            if line.name is None and re.match(
                r"\s*#+\s*(?:export\s+)?%s\s*=" % re.escape(name), line.text
            ):
                return "it is commented out in line %d" % line.number
        return "it is not set"
    value = values[name]
    text = value.dotenv if value.systemd is None else value.systemd
    if text is None:
        return "line %d is malformed: no = after the name" % value.line
    if not text.strip():
        return "line %d sets it to nothing" % value.line
    if name.endswith("_URL"):
        try:
            url.split(text)
        except ValueError as error:
            return "line %d is malformed: %s" % (value.line, error)
    elif name.endswith("_PORT") and app_config.port({"API_PORT": text}) is None:
        return "line %d: it is not a port" % value.line
    return None


def _difference(name, value):
    if value.systemd == value.dotenv:
        return None
    where = "line %d: " % value.line if value.line else ""
    if is_secret_name(name) or "://" in (value.systemd or value.dotenv or ""):
        return where + "systemd and python-dotenv read it differently (a secret, not shown)"
    return "%ssystemd reads %s, python-dotenv reads %s" % (
        where,
        _shown(value.systemd),
        _shown(value.dotenv),
    )


def _shown(text):
    return "nothing" if text is None else repr(text if len(text) <= 80 else text[:77] + "...")


def decide(ctx):
    """Return the findings about the app's .env: app.env.{ok,missing,unreadable,ambiguous}."""
    if ctx.environment_error:
        status, advice = "fail", "Restore the file from the vault or a backup."
        if isinstance(ctx.environment_error, app_config.Refusal):
            # The app may well read it; this must not.
            status = "unknown"
            advice = "Make it a regular file, or name the app's real file in sergas_env_file."
        elif os.geteuid() != 0 and "ermission" in ctx.environment_error:
            status, advice = "unknown", "Run the diagnosis with become."
        return [
            finding(
                "app.env.unreadable",
                "app",
                status,
                ctx.environment_error,
                evidence={"path": ctx.env_file},
                advice=advice,
            )
        ]
    return judge(
        ctx.environment,
        ctx.env_file,
        ctx.params["required_variables"],
        app_config.unit_environment(ctx.unit),
        app_config.loaded_by_systemd(ctx.env_file, ctx.unit),
    )


def judge(reading, path, required, own=(), by_systemd=True):
    """Return the findings about a .env that could be read or does not exist."""
    missing, ambiguous = problems(reading, required, own, by_systemd)
    evidence = {"path": path}
    if reading is not None:
        evidence["mode"] = "%04o" % reading.mode
        if reading.mode & stat.S_IROTH:
            evidence["world_readable"] = True
        if reading.duplicates:
            evidence["duplicates"] = reading.duplicates[:20]
        if reading.malformed:
            evidence["malformed"] = ["line %d: %s" % item for item in reading.malformed[:20]]
    findings = []
    # In brackets: after a colon, the reason would look like the value of a secret and be masked.
    if missing:
        listed = ["%s (%s)" % item for item in missing.items()]
        subject = (
            "%s does not exist, so" % path
            if reading is None
            else "%s of %d required variables in %s cannot be used:"
            % (len(missing), len(required), path)
        )
        names = ", ".join(missing)
        findings.append(
            finding(
                "app.env.missing",
                "app",
                "fail",
                "%s %s" % (subject, names if reading is not None else "%s are not set" % names)
                + (
                    " (%s)" % next(iter(missing.values()))
                    if reading is not None and len(missing) == 1
                    else ""
                ),
                value=len(missing),
                unit="variables",
                fail=1,
                evidence=dict(evidence, variables=listed[:20]),
                remedy="set_variables",
                advice=(
                    "Set %s in %s in a form both readers take (NAME=value, quotes around spaces, no"
                    " inline comment) and restart the app."
                )
                % (names, path),
            )
        )
    if ambiguous:
        findings.append(
            finding(
                "app.env.ambiguous",
                "app",
                "warn",
                "%d variables in %s mean one thing to systemd and another to python-dotenv: %s"
                % (len(ambiguous), path, ", ".join(list(ambiguous)[:10])),
                value=len(ambiguous),
                unit="variables",
                warn=1,
                evidence=dict(
                    evidence, variables=["%s (%s)" % item for item in ambiguous.items()][:20]
                ),
                remedy="set_variables",
                advice=(
                    "Move inline comments to separate lines, drop export, and quote values with"
                    " single quotes."
                ),
            )
        )
    if not findings:
        summary = "All %d required variables are set in %s" % (len(required), path)
        findings.append(finding("app.env.ok", "app", "ok", summary, evidence=evidence))
    return findings
