# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the hosts' registered results hold, in one shape for every host, also a lost one. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import BAD, finding
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact
from ansible_collections.sergas.ops.plugins.plugin_utils.report import comparison

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

#: A host that returns more than this for one finding is broken, or an attack on the report.
_LONGEST_TEXT = 2000
_LARGEST_EVIDENCE = 16_000
#: What of an entry of the host's ledger is reported, of so many entries.
_CHANGE = ("time", "ended", "run", "remedy", "findings", "by", "outcome", "reason")
_MOST_CHANGES = 10
_ID = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+\Z")

#: (reason, pattern of its text, what to do) of a lost connection; the first that matches.
_UNREACHABLE = (
    (
        "become_password",
        r"(missing|incorrect) \w+ password|sudo.*password|timed out waiting for become",
        "Give the password of sudo with -K, or set ansible_become_password.",
    ),
    (
        "name",
        r"could not resolve|name or service not known|no address associated",
        "Correct its name or ansible_host in the inventory, or its DNS record.",
    ),
    (
        "timeout",
        r"timed? ?out|no route",
        "Check that it is up, and what is between it and this controller (route, firewall).",
    ),
    ("refused", r"refused", "Check that sshd runs there, and that ansible_port is its port."),
    (
        "host_key_changed",
        r"identification has changed|host key for .* has changed",
        "Its host key is another one than before. Was it reinstalled? Then remove the old key with"
        " ssh-keygen -R, else it may be another host.",
    ),
    (
        "host_key_unknown",
        r"host key|authenticity of host",
        "Its host key is not known here. Compare it with the host's own and add it to known_hosts:"
        " connect once by hand, or use ssh-keyscan.",
    ),
    (
        "ssh_client",
        r"(no such file or directory|not found|unable to execute).*ssh\b|\bssh\b.*not found",
        "Install an ssh client on this controller (openssh-client).",
    ),
    (
        "sshpass",
        r"sshpass",
        "Install sshpass on this controller, or use a key instead of a password.",
    ),
    (
        "credentials",
        r"permission denied|authentication|password",
        "Check ansible_user and its key or password on that host.",
    ),
    (
        "other",
        r"",
        "Connect to it by hand with the same user and address, and read what it reports.",
    ),
)
#: The same of a diagnosis that failed.
_FAILED = (
    (
        "become_password",
        r"(missing|incorrect) \w+ password|sudo.*password|password is required",
        "Give the password of sudo with -K, or set ansible_become_password.",
    ),
    (
        "no_become",
        r"\b(sudo|su|doas)\b.*(not found|no such file)|(not found|no such file).*\b(sudo|doas)\b",
        "It has no sudo: install it, connect as root, or set sergas_become=false, with which what"
        " only root sees is unknown.",
    ),
    (
        "become_denied",
        r"not in the sudoers|may not run sudo|not allowed to (execute|run)",
        "Allow ansible_user to use sudo there, or connect as another user.",
    ),
    (
        "undefined",
        r"is undefined|undefined variable",
        "Define the variable in the inventory, or correct its name.",
    ),
    (
        "plugin",
        r"(connection|become) (plugin|method)|was not found",
        "Correct ansible_connection or ansible_become_method of this host, or install the"
        " collection of that plugin.",
    ),
    (
        "ssh_client",
        r"no such file or directory.*\bssh\b|unable to execute ssh",
        "Install an ssh client on this controller (openssh-client).",
    ),
    ("other", r"", "Run the diagnosis on this host alone with -vvv and read the error."),
)
#: See scripts/finding_ids.py.
REASONS = {
    "host.unreachable": (
        "name",
        "timeout",
        "refused",
        "host_key_changed",
        "host_key_unknown",
        "ssh_client",
        "sshpass",
        "become_password",
        "credentials",
        "other",
    ),
    "host.diagnosis.failed": (
        "become_password",
        "no_become",
        "become_denied",
        "undefined",
        "plugin",
        "ssh_client",
        "left_out",
        "no_result",
        "other",
    ),
}
_LONGEST_REASON = 500
#: The variables that the parts of role ``diagnose`` register: this and the part, but for these.
PREFIX = "sergas_diagnose_"
REGISTERED = {"database": ("sergas_diagnose_connections", "sergas_diagnose_insights")}
_NAME = re.compile(r"[a-z_]+\Z")
_GUIDE = "Quick Diagnostics"


def plain(value: Any) -> Any:
    """Return a copy of value in JSON's own types: no tags, no NaN, no other objects."""
    return json.loads(json.dumps(value, default=str), parse_constant=lambda _constant: None)


def host_entry(
    name: str,
    groups: Iterable[str],
    addresses: Iterable[str],
    results: Mapping[str, Any],
    names: Sequence[str],
    left_play: bool = False,
    left_out: str | None = None,
) -> dict[str, Any]:
    """Return what is known of one host.

    Args:
        name: its name in the inventory.
        groups: the names of its groups.
        addresses: by which other hosts may know it; its name is one of them.
        results: {variable: registered result}, those of ``names`` that the host has.
        names: the variables with registered results.
        left_play: whether it is out of the play, so that nothing more can come.
        left_out: why it was not to be diagnosed, or ``None``.

    Returns:
        dict with name, groups, addresses, results (the names found), reachable, diagnosed, findings
        (complete, in their order), found_by ({id of what is bad: {part of the diagnosis: checks}},
        no checks where that is not known), distribution (None where it is not known), managed
        (services that a cluster manager owns), changes (what was changed on it lately, newest
        first) and probe_seconds. A host that was not diagnosed has a finding that says so.
    """
    entry: dict[str, Any] = {
        "name": name,
        "groups": sorted(groups),
        "addresses": sorted(set(addresses) | {name}),
        "results": sorted(results),
        "reachable": True,
        "diagnosed": False,
        "findings": [],
        "found_by": {},
        "distribution": None,
        "managed": {},
        "changes": [],
        "probe_seconds": {},
    }
    for variable, result in results.items():
        for one in _flatten(result):
            _add(entry, variable, one)
    if not entry["findings"]:
        entry["findings"].append(_nothing(names, left_play, left_out))
    return entry


def _flatten(result: Any) -> list[Any]:
    """Return the results of a task with a loop one by one, and that of any other task as it is."""
    if (
        isinstance(result, dict)
        and isinstance(result.get("results"), list)
        and "findings" not in result
    ):
        return result["results"]
    return [result]


def _add(entry: dict[str, Any], variable: str, result: Any) -> None:
    if not isinstance(result, dict):
        entry["findings"].append(_failed("%s is not a registered result" % variable, variable))
    elif result.get("unreachable"):
        entry["reachable"] = False
        entry["findings"].append(unreachable(result.get("msg")))
    elif isinstance(result.get("findings"), list):
        entry["diagnosed"] = True
        _add_findings(entry, variable, result["findings"], result.get("checked"))
        _add_checks(entry, variable, result)
        if isinstance(result.get("changes"), list):
            entry["changes"] += [
                {key: change.get(key) for key in _CHANGE}
                for change in result["changes"][:_MOST_CHANGES]
                if isinstance(change, dict)
            ]
        if isinstance(result.get("distribution"), dict):
            entry["distribution"] = {
                key: result["distribution"].get(key) for key in ("id", "like", "name")
            }
        if isinstance(result.get("managed"), dict):
            entry["managed"] = {
                service: {key: str(manager.get(key)) for key in ("name", "command")}
                for service, manager in result["managed"].items()
                if isinstance(manager, dict)
            }
        if isinstance(result.get("probe_seconds"), dict):
            entry["probe_seconds"].update(result["probe_seconds"])
    elif result.get("failed"):
        entry["findings"].append(_failed(_reason(_failure(result)), variable))
    elif not result.get("skipped"):
        entry["findings"].append(_failed("%s holds no findings" % variable, variable))


def _add_findings(entry: dict[str, Any], variable: str, items: Sequence[Any], checked: Any) -> None:
    refused = []
    for item, check in zip(items, _checks(variable, items, checked), strict=True):
        try:
            entry["findings"].append({**_complete(item), "check": check})
        except (TypeError, ValueError, KeyError) as error:
            refused.append("%s: %s" % (type(error).__name__, error))
    if refused:
        entry["findings"].append(
            _failed(
                "%d of its findings cannot be read, the first: %s"
                % (len(refused), _reason(refused[0])),
                variable,
            )
        )


def _add_checks(entry: dict[str, Any], variable: str, result: Mapping[str, Any]) -> None:
    """Note by which part of the diagnosis, and by which of its checks, what is bad was found."""
    part = part_of(variable)
    known = result.get("found_by")
    known = known if isinstance(known, dict) else {}
    for item in result["findings"]:
        id = item.get("id") if isinstance(item, dict) else None
        if part and isinstance(id, str) and _ID.match(id) and item.get("status") in BAD:
            checks = known.get(id)
            checks = checks if isinstance(checks, list) else []
            names = [name for name in checks if isinstance(name, str) and _NAME.match(name)]
            entry["found_by"].setdefault(id, {})[part] = names


def part_of(variable: str) -> str | None:
    """Return the part of role ``diagnose`` that registers a variable, None for any other one."""
    if not variable.startswith(PREFIX):
        return None
    name = variable[len(PREFIX) :]
    return next((part for part, names in REGISTERED.items() if variable in names), name)


def part(variable: str) -> str:
    """Return the name of the part of the diagnosis that has registered a variable."""
    return variable.removeprefix("sergas_diagnose_")


def _checks(variable: str, items: Sequence[Any], checked: Any) -> list[str]:
    """Return which check made each finding of a result, in their order: the part of the diagnosis
    and the name of the check, else what the finding is about.

    Args:
        variable: that the result is registered as.
        items: its findings.
        checked: {name of a check: how many findings it made}, in the same order, or None.
    """
    name = part(variable)
    counts = checked if isinstance(checked, dict) else {}
    numbers = [count for count in counts.values() if isinstance(count, int) and count >= 0]
    if len(numbers) == len(counts) and sum(numbers) == len(items):
        return ["%s:%s" % (name, check) for check in counts for _one in range(counts[check])]
    ids = [str(item.get("id")) if isinstance(item, dict) else "" for item in items]
    return [comparison.of_part(name, id) for id in ids]


def _complete(item: Any) -> Finding:
    """Return a finding with every key of the contract and values of the right types.

    Raises:
        KeyError, TypeError, ValueError: it does not follow the contract.
    """
    if not isinstance(item, dict):
        raise TypeError("a finding must be a dictionary")
    known = dict(item)
    head = [known.pop(key) for key in ("id", "component", "status", "summary")]
    if not all(isinstance(text, str) for text in head):
        raise TypeError("id, component, status and summary must be text")
    if not _ID.match(head[0]) or (known.get("cause") and not _ID.match(str(known["cause"]))):
        raise ValueError("%.100r or its cause is not an id" % head[0])
    head[3] = head[3][:_LONGEST_TEXT]
    for key in ("value", "warn", "fail"):
        if isinstance(known.get(key), bool) or not isinstance(
            known.get(key), (int, float, type(None))
        ):
            raise TypeError("%s must be a number" % key)
    for key in ("reason", "unit", "cause", "remedy", "advice", "guide"):
        if not isinstance(known.get(key), (str, type(None))):
            raise TypeError("%s must be text" % key)
    if not isinstance(known.setdefault("evidence", {}), dict):
        raise TypeError("evidence must be a dictionary")
    size = len(json.dumps(known["evidence"]))
    if size > _LARGEST_EVIDENCE:
        known["evidence"] = {"left_out": "%d bytes, more than a report takes" % size}
    return finding(*head, **known)


def _nothing(names: Sequence[str], left_play: bool, left_out: str | None) -> Finding:
    if left_out:
        advice = "Leave it out of the run with sergas_hosts or --limit."
        return _failed(left_out, names[0], "left_out", advice)
    if left_play:
        reason = "it left the play before its diagnosis, unreachable or failed"
    else:
        reason = "it has not registered %s" % " or ".join(names)
    return _failed(reason, names[0], "no_result")


def _failed(
    text: str, variable: str, code: str | None = None, advice: str | None = None
) -> Finding:
    found, known = _cause(text, _FAILED)
    item = finding(
        "host.diagnosis.failed",
        "host",
        "unknown",
        "Not diagnosed: %s" % text,
        reason=code or found,
        evidence={"result": variable},
        advice=advice or known,
        guide=_GUIDE,
    )
    item["check"] = part(variable)
    return item


def unreachable(given: object) -> Finding:
    """Return the finding of a host that did not answer, from the reason that Ansible was given."""
    text = _reason(given)
    reason, advice = _cause(text, _UNREACHABLE)
    # ssh repeats the address it was given, the report names the host already.
    shown = re.sub(r"^ssh: (connect to host \S+ port \d+: )?", "", text)
    return finding(
        "host.unreachable",
        "host",
        "fail",
        "Ansible cannot reach it: %s" % shown,
        reason=reason,
        evidence={"reason": text},
        advice=advice,
        guide=_GUIDE,
    )


def _cause(text: str, table: Sequence[tuple[str, str, str]]) -> tuple[str, str]:
    """Return (reason, what to do) of a text. What no row of the table knows, and the variables and
    plugins that are missing, are distinguished by the text.
    """
    code, advice = next(
        (code, advice) for code, pattern, advice in table if re.search(pattern, text, re.I)
    )
    if code in ("undefined", "plugin"):
        quoted = re.findall(r"'([\w.]+)'", text)
        return "%s:%s" % (code, quoted[-1] if quoted else text[:80]), advice
    return ("other:%s" % text[:80] if code == "other" else code), advice


def _failure(result: Mapping[str, Any]) -> Any:
    """Return why a task failed: of a module that broke, ansible-core 2.18 reports it only in the
    last line it wrote.
    """
    message = result.get("msg")
    written = result.get("module_stderr") or result.get("exception")
    if (
        isinstance(message, str)
        and message.startswith("MODULE FAILURE")
        and isinstance(written, str)
    ):
        return (written.strip().splitlines() or [message])[-1]
    return message


def _reason(text: Any) -> str:
    """Return an error's text in one line, without secrets and without Ansible's preamble."""
    text = re.sub(
        r"\s+", " ", redact(text if isinstance(text, str) else "no reason was given")
    ).strip()
    # ssh frames a warning with these, and warns of what it was set to do.
    text = re.sub(r"@{3,} ?(@ )?| @(?= |$)|Warning: Permanently added .*? known hosts\. ", "", text)
    text = re.sub(
        r"^((Task|Module|Action) failed: |Failed to connect to the host via ssh: "
        r"|Data could not be sent to remote host \S+ Make sure this host can be reached over "
        r"ssh: )+",
        "",
        text,
    )
    if len(text) > _LONGEST_REASON:
        # What was wrong is said at its beginning or at its end.
        text = "%s ... %s" % (text[: _LONGEST_REASON // 2], text[-_LONGEST_REASON // 2 :])
    return text or "no reason was given"
