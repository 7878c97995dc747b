# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app's environment, judged without a secret: what it runs with and its next start gets."""

from __future__ import annotations

import os
import re
import stat

from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observed
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere, finding
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import is_secret_name
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_config,
    app_values,
    dotenv,
    unit,
)

#: What an observation has of environments: "sources" that a start reads and could not be read,
#: what the app is "running" with, and whether it has "loaded" its file as it is.
ASPECTS = ("sources", "running", "loaded")
#: Settings that other checks judge by their value; none of them is a secret.
PLAIN = ("REQUIRE_MFA", "ENABLE_RATE_LIMITING", "SESSION_TIMEOUT")
#: One that has a safe default.
_FORWARDED = "FORWARDED_ALLOW_IPS"
_SHOWN = 80
#: What computes its reason: why the file of the settings could not be read.
REASONS = {"app.env.unreadable": ("refused", "permission", "damaged")}


def observe(ctx):
    """Return what is judged of the app's environment, and of each variable in it.

    Returns:
        dict with path, exists, mode, error and error_kind of the file that holds the settings;
        files: those with secrets in them (path, mode); absent: those that the unit must have;
        denied: why the app's user may not read its .env, or None; running: whether the app runs;
        pending: the names of what another start changes; launcher: what starts the app; required:
        {name: why it is missing}; variables: see ``_variables``; plain and plain_next: {name:
        value} that the app runs with and that its next start gets, and hidden: the names that
        what starts the app may set; duplicates and malformed lines; elsewhere: a
        file for secrets that only root may read, or None.
    """
    found = ctx.app_environment
    reading = found.reading
    variables = _variables(found)
    kinds = _kinds(ctx, found, variables)
    for name, judged in variables.items():
        entry = found.next.get(name)
        if entry is not None and entry.value is not None and name in kinds:
            why = app_values.refusal(kinds[name], entry.value)
            if why and not is_secret_name(name) and kinds[name] in app_values.SIMPLE:
                why = "%s %s" % (_shown(entry.value), why) if entry.value.strip() else why
            judged["refused"] = why
    hints, gaps = _hints(found, ctx.params["required_variables"]), dict(found.gaps)
    values, starter = found.values, _starter(found)
    hidden = [name for name in PLAIN if name not in values and starter and starter.may_set(name)]
    unclear = hidden + [name for name, why in hints.items() if why is None and starter.opaque]
    if unclear:
        names = ", ".join(unclear[:5])
        gaps["sources"] = "%s starts the app and may set %s" % (starter.path, names)
    observation = {
        "path": found.path,
        "exists": reading is not None or bool(found.error),
        "mode": None if reading is None else reading.mode,
        "error": found.error and str(found.error),
        "error_kind": _error_kind(found.error),
        "files": [
            {"path": one.path, "mode": one.mode}
            for one in found.readings
            if one is reading or any(map(is_secret_name, one.values))
        ],
        "absent": found.absent,
        "denied": _denied(ctx, found),
        "running": bool(unit.number(ctx.unit, "MainPID")),
        "pending": found.pending,
        "launcher": found.launcher and found.launcher.path,
        "required": hints,
        "variables": variables,
        "plain": {name: values[name] for name in (*PLAIN, _FORWARDED) if name in values},
        "plain_next": {
            name: found.next[name].value
            for name in PLAIN
            if name in found.next and found.next[name].value is not None
        },
        "hidden": hidden,
        "duplicates": reading.duplicates if reading is not None else [],
        "malformed": reading.malformed if reading is not None else [],
        "elsewhere": _elsewhere(found),
    }
    return Observed(observation, gaps)


def _error_kind(error):
    if isinstance(error, app_config.Refusal):
        # The app may well read it; this must not.
        return "refused"
    if error and os.geteuid() != 0 and "ermission" in error:
        return "permission"
    return "damaged" if error else None


def _variables(found):
    """Return {name: what is judged of it} of all that the sources set."""
    result = {}
    secrets = {}
    for name in dict.fromkeys([*_readable(found.next), *_readable(found.pending)]):
        entry, running = found.next.get(name), (found.running or {}).get(name)
        result[name] = judged = {
            "state": _state(entry),
            "running": None if found.running is None else _state(running),
            "source": entry and entry.source,
            "line": entry.line if entry else 0,
            "difference": _difference(found, name),
            "refused": None,
        }
        value = entry.value if entry else None
        if value and is_secret_name(name):
            judged["secret"] = {
                "length": len(value),
                "alphabet": app_values.alphabet(value),
                "placeholder": app_values.is_placeholder(value),
                "equal_to": secrets.get(value),
            }
            secrets.setdefault(value, name)
    return result


def _readable(names):
    """Return the names of variables, without a mark that an editor has put before one."""
    return [name[len(dotenv.MARK) :] if name.startswith(dotenv.MARK) else name for name in names]


def _state(entry):
    if entry is None:
        return "absent"
    if entry.value is None:
        return "concealed"
    return "set" if entry.value.strip() else "empty"


def _difference(found, name):
    """Return how systemd and python-dotenv read a variable differently, where that matters."""
    if found.reading is None:
        return None
    value = found.reading.values.get(name)
    if value is None and dotenv.MARK + name in found.reading.values and name not in found.next:
        return (
            "line 1: a byte order mark is before it, so that neither systemd nor this python-dotenv"
            " reads it"
        )
    if not (value and found.by_systemd) or value.systemd == value.dotenv:
        return None
    entry = found.next.get(name)
    if entry is not None and entry.source != found.path:
        return None  # another source decides
    if name == found.reading.marked:
        return None  # its python-dotenv leaves the mark out
    return difference(name, value)


def difference(name, value):
    """Return how systemd and python-dotenv read a variable differently, without a secret; or
    None.
    """
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
    if text is None:
        return "nothing"
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def _kinds(ctx, found, variables):
    """Return {name: kind} of the settings that the app reads as more than a text.

    The app's own code says which these are, where it can be read. It is read only if there may be a
    value that the app refuses.
    """
    kinds = dict(app_values.KINDS)
    suspect = any(
        app_values.refusal(kind, found.next[name].value)
        for name, kind in kinds.items()
        if name in found.next and found.next[name].value is not None
    )
    if not suspect and not found.pending and unit.number(ctx.unit, "MainPID"):
        return kinds
    from ansible_collections.sergas.ops.plugins.module_utils._host import app_code

    code = app_code.read(found.app_dir)
    if code is None or not code.kinds:
        return kinds
    command = unit.command_line(ctx.unit)
    for name in list(kinds):
        on_command_line = re.search(r"\$\{?%s\b" % name, command)
        if kinds[name] in app_values.SIMPLE and not on_command_line:
            declared = code.kinds.get(name, app_values.TEXT)
            if (kinds[name], declared) != (app_values.PORT, app_values.WHOLE):
                kinds[name] = declared
    return {**{name: code.kinds[name] for name in variables if name in code.kinds}, **kinds}


def _denied(ctx, found):
    """Return why the app's user may not read the .env that its dotenv reads, or None.

    A process that runs since before its mode was last changed has shown nothing of it.
    """
    user = ctx.unit.get("User")
    status = found.reading.status if found.reading is not None else None
    if not user or os.geteuid() != 0 or status is None or not found.by_dotenv:
        return None
    started = unit.since(ctx.unit, "ExecMainStartTimestamp", ctx.now)
    if unit.number(ctx.unit, "MainPID") and started is not None and status.st_ctime < started:
        return None
    from ansible_collections.sergas.ops.plugins.module_utils._host import file_access

    more = (ctx.unit.get("SupplementaryGroups") or "").split()
    why = file_access.denial(found.path, user, ctx.unit.get("Group"), more, ctx.deadline)
    if why is None:
        return None
    from ansible_collections.sergas.ops.plugins.module_utils._host import app_code

    code = app_code.read(found.app_dir)
    if code is not None and not code.reads_dotenv:
        return None  # systemd reads it for the app, as root
    return {"user": user, "why": why}


def _hints(found, required):
    """Return {name: why the app gets no value for it} of the required names that are not set."""
    hints = {}
    for label in required:
        for name in label.split("|"):
            if name not in found.next:
                hints[name] = _absence(name, found)
    return hints


def _starter(found):
    """Return what may set more variables at a start, where no running app shows which; or None."""
    return found.launcher if found.running is None else None


def _absence(name, found):
    starter = _starter(found)
    if starter and starter.may_set(name):
        return None
    if found.reading is not None and name in found.reading.values:
        value = found.reading.values[name]
        if value.dotenv is None and value.systemd is None:
            return "line %d is malformed: no = after the name" % value.line
    for reading in found.readings:
        where = "" if reading is found.reading else " of " + reading.path
        for line in reading.lines:
            if line.error and re.search(r"\b%s\b" % re.escape(name), line.text):
                return "line %d%s is malformed: %s" % (line.number, where, line.error)
            if line.name is None and re.match(
                r"\s*#+\s*(?:export\s+)?%s\s*=" % re.escape(name), line.text
            ):
                return "it is commented out in line %d%s" % (line.number, where)
    return "it is not set"


def _elsewhere(found):
    """Return the path of a file that only root may read and that has the app's secrets, where the
    app's .env is one that the app's user may read; None where there is none.
    """

    def is_root_only(reading):
        status = reading.status
        return status is not None and status.st_uid == 0 and not reading.mode & 0o077

    if found.reading is not None and is_root_only(found.reading):
        return None
    for one in found.readings:
        if one is not found.reading and is_root_only(one) and any(map(is_secret_name, one.values)):
            return one.path
    return None


# What is decided


def decide(ctx, observed, health=None):
    """Return the findings about the app's environment: app.env.{ok,missing,invalid,ambiguous,
    unreadable}.

    Args:
        ctx: the context; only its options are read.
        observed: what ``observe`` returned.
        health: what the health endpoint answered, None where that is not known.
    """
    if observed["error"]:
        return [_unreadable(observed)]
    serves = observed["running"] and any(
        sample.get("status") for sample in (health or {}).get("samples", ())
    )
    return judge(observed, ctx.params["required_variables"], serves)


def _unreadable(observed):
    status, advice = "fail", "Restore the file from the vault or a backup."
    if observed["error_kind"] == "refused":
        status = "unknown"
        advice = "Make it a regular file, or name the app's real file in sergas_env_file."
    elif observed["error_kind"] == "permission":
        status, advice = "unknown", "Run the diagnosis with become."
    return finding(
        "app.env.unreadable",
        "app",
        status,
        observed["error"],
        reason=observed["error_kind"],
        evidence={"path": observed["path"]},
        advice=advice,
    )


def judge(observed, required, serves=False):
    """Return the findings about an environment that could be read.

    Args:
        observed: what ``observe`` returned.
        required: names, with ``|`` between alternatives.
        serves: whether the app answers requests: what it was started with, it has not refused.
    """
    variables = observed["variables"]
    differ = {
        name: one["difference"]
        for name, one in variables.items()
        if one["difference"] and not (serves and one["state"] == one["running"] == "set")
    }
    missing = _missing(observed, required, differ)
    refused = {
        name: _where(one, observed["path"]) + one["refused"]
        for name, one in variables.items()
        if one["refused"]
        and name not in missing
        and name not in differ
        and not (serves and name not in observed["pending"] and one["running"] == one["state"])
    }
    ambiguous = {name: why for name, why in differ.items() if name not in missing}
    findings = []
    if missing:
        findings.append(_missing_finding(observed, missing, len(required)))
    if refused:
        findings.append(_invalid_finding(observed, refused))
    findings += _not_read(observed, bool(missing), serves)
    if ambiguous:
        findings.append(_ambiguous_finding(observed, ambiguous))
    if not findings:
        summary = "All %d required variables are set%s" % (
            len(required),
            " in %s" % observed["path"] if observed["exists"] else "",
        )
        findings.append(finding("app.env.ok", "app", "ok", summary, evidence=_evidence(observed)))
    return findings


def _where(one, path):
    if not one["line"]:
        return "" if one["source"] in (path, None) else "in %s: " % one["source"]
    return "line %d%s: " % (one["line"], "" if one["source"] == path else " of " + one["source"])


def _missing(observed, required, differ):
    """Return {name: reason} of the required variables that the app's next start does not get."""
    found = {}
    for label in required:
        names = label.split("|")
        reasons = {name: differ.get(name) or _reason(name, observed) for name in names}
        if all(reasons.values()):
            # Of the alternatives, the one that was set, if badly, says most.
            tried = [
                name for name in names if name in observed["variables"] or "line" in reasons[name]
            ] or names[:1]
            found[tried[0]] = reasons[tried[0]]
    return found


def _reason(name, observed):
    one = observed["variables"].get(name)
    if one is None or one["state"] == "absent":
        why = observed["required"].get(name, "it is not set")
        if one is not None and one["running"] == "set" and why:
            why += "; the running app still has it"
        return why
    if one["state"] == "empty":
        return _where(one, observed["path"]).rstrip(": ") + " sets it to nothing"
    return None


def _evidence(observed):
    evidence = {"path": observed["path"]}
    if observed["mode"] is not None:
        evidence["mode"] = "%04o" % observed["mode"]
        if observed["mode"] & stat.S_IROTH:
            evidence["world_readable"] = True
    if observed["duplicates"]:
        evidence["duplicates"] = observed["duplicates"][:20]
    if observed["malformed"]:
        evidence["malformed"] = ["line %d: %s" % tuple(item) for item in observed["malformed"][:20]]
    if observed["launcher"]:
        evidence["launcher"] = observed["launcher"]
    return evidence


def _listed(variables):
    # In brackets: after a colon, the reason would look like the value of a secret and be masked.
    return ["%s (%s)" % item for item in variables.items()][:20]


def _names(variables):
    return ",".join(sorted(variables)[:20])


def _missing_finding(observed, missing, required):
    path, names = observed["path"], ", ".join(missing)
    if not observed["exists"]:
        summary = "%s does not exist, so %s are not set" % (path, names)
    else:
        summary = "%d of %d required variables in %s cannot be used: %s" % (
            len(missing),
            required,
            path,
            names,
        )
        if len(missing) == 1:
            summary += " (%s)" % next(iter(missing.values()))
    elsewhere = observed["elsewhere"] if any(map(is_secret_name, missing)) else None
    advice = (
        "Set %s in %s in a form both readers take (NAME=value, quotes around spaces, no inline"
        " comment) and restart the app."
    ) % (names, elsewhere or path)
    evidence = dict(_evidence(observed), variables=_listed(missing))
    if elsewhere:
        # A secret that only root could read is not copied to where the app's user can read it.
        evidence["secrets_in"] = elsewhere
    return finding(
        "app.env.missing",
        "app",
        "fail",
        summary,
        reason="missing:" + _names(missing),
        value=len(missing),
        unit="variables",
        fail=1,
        evidence=evidence,
        remedy=None if elsewhere else "set_variables",
        advice=advice,
    )


def _invalid_finding(observed, refused):
    in_file = all(observed["variables"][name]["source"] == observed["path"] for name in refused)
    return finding(
        "app.env.invalid",
        "app",
        "fail",
        "The app refuses the value of %s" % "; ".join(_listed(refused)[:5]),
        reason="invalid:" + _names(refused),
        value=len(refused),
        unit="variables",
        fail=1,
        evidence=dict(_evidence(observed), variables=_listed(refused)),
        remedy="set_variables" if in_file else None,
        advice="Correct %s and restart the app."
        % ", ".join(
            "%s in %s" % (name, observed["variables"][name]["source"]) for name in list(refused)[:5]
        ),
    )


def _ambiguous_finding(observed, ambiguous):
    return finding(
        "app.env.ambiguous",
        "app",
        "warn",
        "%d variables in %s mean one thing to systemd and another to python-dotenv: %s"
        % (len(ambiguous), observed["path"], ", ".join(list(ambiguous)[:10])),
        reason="differs:" + _names(ambiguous),
        value=len(ambiguous),
        unit="variables",
        warn=1,
        evidence=dict(_evidence(observed), variables=_listed(ambiguous)),
        remedy="set_variables",
        advice=(
            "Move inline comments to separate lines, drop export, and quote values with single"
            " quotes."
        ),
    )


def _not_read(observed, missing, serves):
    """Return the findings about files that the app or systemd cannot read at a start."""
    findings = []
    absent = [path for path in observed["absent"] if path != observed["path"] or not missing]
    if absent:
        findings.append(
            finding(
                "app.env.unreadable",
                "app",
                "fail",
                "The unit needs %s, which does not exist: systemd does not start it without"
                % ", ".join(absent[:5]),
                reason="absent:" + ",".join(absent[:5]),
                evidence={"path": absent[0], "files": absent[:20]},
                advice="Restore it, or write EnvironmentFile=-%s in the unit." % absent[0],
            )
        )
    if observed["denied"]:
        path, denied = observed["path"], observed["denied"]
        findings.append(
            finding(
                "app.env.unreadable",
                "app",
                "warn" if serves else "fail",
                "%s cannot be read by %s, as which the app runs: %s"
                % (path, denied["user"], denied["why"]),
                reason="app_user",
                evidence={"path": path, "user": denied["user"], "why": denied["why"]},
                advice="Give it to %s with the mode 0600, and let it enter the directories above."
                % denied["user"],
            )
        )
    return findings


def decide_restart(ctx, observed):
    """Return whether the app runs with what its next start would get."""
    if not observed["running"]:
        raise NotHere("The app does not run")
    names = observed["pending"]
    if not names:
        summary = "The app runs with what another start would give it"
        return [finding("app.restart.ok", "app", "ok", summary)]
    variables = observed["variables"]
    sources = sorted({variables[name]["source"] for name in names} - {None, "its process"})
    return [
        finding(
            "app.restart.pending",
            "app",
            "warn",
            "The app was started before a change of %s, and runs with what was set then"
            % ", ".join(names[:10]),
            reason="changed:" + _names(names),
            value=len(names),
            unit="variables",
            warn=1,
            evidence={"variables": names[:20], "sources": sources[:20]},
            advice="Restart the app (systemctl restart %s) when it suits."
            % unit.name(ctx.params["service"]),
        )
    ]
