# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app's configuration: what its .env says to the two that read it, and what the app gets."""

from __future__ import annotations

import os
import re
import stat
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils import dotenv, files, url
from ansible_collections.sergas.ops.plugins.module_utils.finding import finding, is_secret_name

#: No real .env comes near; a device or a log given by mistake does.
MAX_BYTES = 1024 * 1024
_URL_PARTS = ("scheme", "user", "password", "host", "port", "path", "query")
_OPTIONS = ("host", "port", "name", "user", "password")


class Value(namedtuple("Value", ["systemd", "dotenv", "line"])):
    """One variable of the file: what each reader gets, None if nothing, and its line."""

    __slots__ = ()


class Refusal(str):
    """Why a file was not read that may be another user's; see L(files.FileRefused)."""

    __slots__ = ()


class Reading(
    namedtuple("Reading", ["path", "mode", "lines", "values", "duplicates", "malformed"])
):
    """A .env file as it was read.

    Attributes:
        path: its path.
        mode: its mode.
        lines: a list of L(dotenv.Line).
        values: {name: Value}.
        duplicates: the names set more than once: the last one counts.
        malformed: (number, reason) of the lines that are no statements.
    """

    __slots__ = ()


def read(path):
    """Return (Reading, None), (None, None) for a file that does not exist, or (None, reason).

    The reason is a L(Refusal) where the file may be another user's; see L(files.held).
    """
    try:
        with files.held(path) as place:
            content = place.read(MAX_BYTES)
    except FileNotFoundError:
        return None, None
    except files.FileUnsuitable as error:
        return None, str(error)
    except files.FileRefused as error:
        return None, Refusal(error)
    except OSError as error:
        return None, "%s cannot be read: %s" % (path, error.strerror)
    return decode(content, path)


def decode(content, path):
    """Return what L(read) does, of a file that has been read.

    Args:
        content: its L(files.Content).
        path: for the messages.
    """
    status, data = content
    if b"\0" in data:
        return None, "%s has NUL bytes: it is not text" % path
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, "%s is not UTF-8 at byte %d" % (path, error.start)
    return interpret(text, path, stat.S_IMODE(status.st_mode)), None


def interpret(text, path=".env", mode=0o600):
    """Return the L(Reading) of the text of a .env file."""
    lines = dotenv.parse(text)
    by_dotenv = dotenv.dotenv_values(lines)
    by_systemd = dotenv.systemd_values(text)
    numbers, duplicates = {}, []
    for line in lines:
        if line.name is not None:
            if line.name in numbers and line.name not in duplicates:
                duplicates.append(line.name)
            numbers[line.name] = line.number
    names = list(numbers) + sorted(set(by_systemd) - set(numbers))
    values = {
        name: Value(by_systemd.get(name), by_dotenv.get(name), numbers.get(name, 0))
        for name in names
    }
    malformed = [(line.number, line.error) for line in lines if line.error]
    return Reading(path, mode, lines, values, duplicates, malformed)


def settings(reading, params, unit=None):
    """Return {name: value}: what the app runs with, and the module's options over it.

    python-dotenv and pydantic leave a variable alone that the process has already, so what systemd
    put there wins. The parts of DATABASE_URL and REDIS_URL are added as DATABASE_URL.host and so
    on (scheme, user, password, host, port, path, query).
    """
    result = {}
    if reading is not None:
        result.update(
            {
                name: value.dotenv
                for name, value in reading.values.items()
                if value.dotenv is not None
            }
        )
    result.update(unit_environment(unit))
    if reading is not None and loaded_by_systemd(reading.path, unit):
        result.update(
            {
                name: value.systemd
                for name, value in reading.values.items()
                if value.systemd is not None
            }
        )
    for service in ("DATABASE", "REDIS"):
        if result.get(service + "_URL"):
            try:
                parts = url.split(result[service + "_URL"])
            except ValueError:
                continue
            for part in _URL_PARTS:
                if getattr(parts, part) not in (None, ""):
                    result["%s_URL.%s" % (service, part)] = str(getattr(parts, part))
        for option in _OPTIONS:
            given = params.get("%s_%s" % (service.lower(), option))
            if given is not None:
                result["%s_%s" % (service, option.upper())] = str(given)
                result["%s_URL.%s" % (service, option)] = str(given)
    return result


def loaded_by_systemd(path, unit):
    """Return whether the unit has this file as its C(EnvironmentFile); True where that is not
    known.
    """
    files = (unit or {}).get("EnvironmentFiles")
    return True if not unit or files is None else path in files


def unit_environment(unit):
    """Return {name: value} of the unit's own C(Environment=) lines."""
    text = (unit or {}).get("Environment")
    if not text:
        return {}
    import shlex  # only where a unit has such lines

    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return dict(word.partition("=")[::2] for word in words if "=" in word)


def port(settings):
    """Return the port the configuration gives the app, or None where it gives none that can be."""
    for name in ("API_PORT", "PORT"):
        text = settings.get(name, "")
        if re.match(r"[0-9]{1,5}\Z", text) and 0 < int(text) < 65536:
            return int(text)
    return None


def secrets(settings, reading=None):
    """Return the set of values that nobody may see, passwords within URLs among them."""
    pairs = list(settings.items())
    for name, value in reading.values.items() if reading is not None else ():
        pairs += [(name, value.dotenv), (name, value.systemd)]
    found = set()
    for name, value in pairs:
        if not value:
            continue
        if is_secret_name(name):
            found.add(value)
        if "://" in value:
            try:
                password = url.split(value).password
            except ValueError:
                continue
            if password:
                raw = value.partition("://")[2].rpartition("@")[0].partition(":")[2]
                found.update((password, raw))
    return found


def problems(reading, required, own=(), by_systemd=True):
    """Return (missing, ambiguous): {name: reason} of required variables, and of the others.

    Args:
        reading: the L(Reading), or None where there is no file.
        required: names, with C(|) between alternatives.
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
            # Of the alternatives, the one that somebody tried to set says most.
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
    elif name.endswith("_PORT") and port({"API_PORT": text}) is None:
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
        if isinstance(ctx.environment_error, Refusal):
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
        unit_environment(ctx.unit),
        loaded_by_systemd(ctx.env_file, ctx.unit),
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
                    "Move inline comments to lines of their own, drop export, and quote values with"
                    " single quotes."
                ),
            )
        )
    if not findings:
        summary = "All %d required variables are set in %s" % (len(required), path)
        findings.append(finding("app.env.ok", "app", "ok", summary, evidence=evidence))
    return findings
