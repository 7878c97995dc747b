# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installs what is missing of the app's requirements in its virtual environment, and nothing else.

What is there is compared inside the environment, by its own Python and the parser that its pip
brings: that is the same with every version of pip. Only the versions that pip would choose are
requested from pip itself, where it can say them without installing (from 22.2 on).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Dict, List, NamedTuple

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError

#: Runs in the app's environment. Prints what is missing and what is broken, as JSON.
COMPARE = r"""
import base64, csv, hashlib, importlib.metadata as metadata, io, json, os, re, stat, sys
# Before pip is imported, which with Debian puts its own wheels on the path.
installed = {}
for dist in metadata.distributions():
    name = dist.metadata["Name"] if dist.metadata else None
    if name:
        installed.setdefault(re.sub(r"[-_.]+", "-", name).lower(), dist)
try:
    from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
    from pip._vendor.packaging.utils import canonicalize_name
except ImportError:
    print(json.dumps({"error": "pip is missing or broken in this environment"}))
    sys.exit()

wanted, unchecked, seen_files = [], [], set()
MOST_BYTES = 1024 * 1024

def text_of(path):
    # A pipe must not hold it up, and what never ends is no file of requirements.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    regular, data = stat.S_ISREG(os.fstat(handle).st_mode), b""
    if regular:
        with os.fdopen(handle, "rb") as source:
            data = source.read(MOST_BYTES + 1)
    if not regular or len(data) > MOST_BYTES:
        reason = "is larger than %d bytes" % MOST_BYTES if regular else "is not a regular file"
        print(json.dumps({"error": "%s %s" % (path, reason)}))
        sys.exit()
    return data.decode("utf-8")

def read(path):
    path = os.path.abspath(path)
    if path in seen_files:
        return
    seen_files.add(path)
    text = re.sub(r"\\\r?\n", " ", text_of(path))
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        include = re.match(r"(?:-r|--requirement)[\s=]*(\S+)", line)
        if include:
            read(os.path.join(os.path.dirname(path), include.group(1)))
        elif re.match(r"(?:-e|--editable)\b|\.{0,2}/|\w+\+|\w+://", line):
            unchecked.append(line.split("@")[0])
        elif line and not line.startswith("-"):
            line = re.split(r"\s--?[a-z]", line)[0].strip()
            try:
                wanted.append((Requirement(line), ""))
            except InvalidRequirement:
                unchecked.append(line)

# "--module=NAME": what cannot be imported, so that the files of what has it are compared in full.
suspects = [name[9:].split(".")[0] for name in sys.argv[1:] if name.startswith("--module=")]
for name in sys.argv[1:]:
    if not name.startswith("--module="):
        read(name)

unmet, broken, done = {}, {}, set()

def files(dist):
    # Not dist.files: from Python 3.12 on it leaves out what is missing, and before that it lists
    # the sources of an .egg-info, which were never there.
    for row in csv.reader(io.StringIO(dist.read_text("RECORD") or "")):
        if row:
            yield row[0], str(dist.locate_file(row[0])), row[1] if len(row) > 1 else ""
    # Where setup.py has installed the package; the paths start in the .egg-info itself.
    for name in (dist.read_text("installed-files.txt") or "").splitlines():
        yield name, os.path.join(str(dist._path), name), ""

def differs(path, recorded):
    algorithm, _, expected = recorded.partition("=")
    if algorithm != "sha256" or not path.endswith(".py") or os.path.getsize(path) > MOST_BYTES:
        return False
    with open(path, "rb") as source:
        digest = hashlib.sha256(source.read()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != expected

def damage(dist):
    for name, path, recorded in files(dist):
        # What Python compiles comes and goes.
        if name.endswith(".pyc") or "__pycache__" in name.split("/"):
            continue
        if not os.path.exists(path):
            return name, "is gone"
        top = name.split("/")[0]
        if (top in suspects or top[:-3] in suspects) and differs(path, recorded):
            return name, "is not as it was installed"

while wanted:
    requirement, extra = wanted.pop(0)
    if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
        continue
    name = canonicalize_name(requirement.name)
    key = (name, str(requirement.specifier), tuple(sorted(requirement.extras)))
    if key in done:
        continue
    done.add(key)
    marker, requirement.marker = requirement.marker, None
    dist = installed.get(name)
    if requirement.url:
        if dist is None:
            unmet.setdefault(name, {"requirement": str(requirement), "installed": None})
        continue
    version = dist.version if dist is not None else None
    if version is None or not requirement.specifier.contains(version, prereleases=True):
        unmet.setdefault(name, {"requirement": str(requirement), "installed": version})
        continue
    damaged = damage(dist) if name not in broken else None
    if damaged:
        broken[name] = {"requirement": "%s==%s" % (requirement.name, version),
                        "installed": version, "file": damaged[0], "damage": damaged[1]}
    for text in dist.requires or ():
        try:
            child = Requirement(text)
        except InvalidRequirement:
            continue
        for one in sorted(requirement.extras) or [""]:
            wanted.append((child, one))

print(json.dumps({
    "missing": [dict(unmet[name], name=name) for name in sorted(unmet)],
    "broken": [dict(broken[name], name=name) for name in sorted(broken)],
    "compared": len(done), "unchecked": unchecked,
    "pip": __import__("pip").__version__,
}))
"""
#: The first pip that says what it would install.
_DRY_RUN = (22, 2)
_PINNED = re.compile(r"==\s*([^,\s*]+)\Z")
_FAULT_LENGTH = 600


class RequirementsError(OperationError):
    """It cannot be done; the message says why."""


class Step(NamedTuple):
    """A package to install."""

    name: str
    requirement: str
    #: the version that is there, None for none
    before: str
    #: the version that will be there; None where only pip will decide
    after: str
    why: str


def plan(compared, chosen=None):
    """Return the ``Step`` of each package to install. Pure.

    Args:
        compared: what the comparison inside the environment printed.
        chosen: {name: version} that pip would install, beyond the named ones their dependencies;
            None where it does not say.
    """
    steps: List[Step] = []
    for item in compared["missing"]:
        found = _PINNED.search(item["requirement"])
        version = (chosen or {}).get(item["name"]) or (found.group(1) if found else None)
        why = (
            "it is not installed"
            if item["installed"] is None
            else "%s is installed" % item["installed"]
        )
        steps.append(Step(item["name"], item["requirement"], item["installed"], version, why))
    for item in compared["broken"]:
        why = "its file %s %s" % (item["file"], item["damage"])
        steps.append(
            Step(item["name"], item["requirement"], item["installed"], item["installed"], why)
        )
    known = {step.name for step in steps}
    for name, version in sorted((chosen or {}).items()):
        if name not in known:
            steps.append(
                Step(name, "%s==%s" % (name, version), None, version, "another one needs it")
            )
    return steps


def chosen(report):
    """Return {name: version} of a report of ``pip install --dry-run --report``. Pure."""
    return {
        re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(): item["metadata"]["version"]
        for item in report.get("install", ())
    }


def difference(steps, path):
    """Return what Ansible shows as the difference of the installed packages. Pure."""

    def line(name, version):
        return "" if version is None else "%s==%s\n" % (name, version)

    before = "".join(line(step.name, step.before) for step in steps)
    broken = {step.name for step in steps if step.before and step.before == step.after}
    if broken:
        before = "".join(
            "%s==%s (broken)\n" % (step.name, step.before)
            if step.name in broken
            else line(step.name, step.before)
            for step in steps
        )
    after = "".join(line(step.name, step.after) or step.requirement + "\n" for step in steps)
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def run(params, check_mode):
    """Do what the options of ``sergas.ops.app_requirements`` say and return its result.

    Raises:
        RequirementsError: with a message for the person who runs it.
    """
    files = params["requirements"] or [os.path.join(params["app_dir"], "requirements.txt")]
    environment = params["virtualenv"] or os.path.join(params["app_dir"], "venv")
    python = os.path.join(environment, "bin", "python")
    _refuse(environment, python, files)
    compared = _compare(python, files, params["modules"])
    version = tuple(int(part) for part in re.findall(r"\d+", compared["pip"])[:2])
    known = None
    if compared["missing"] and version >= _DRY_RUN:
        known = chosen(_dry_run(python, compared["missing"], params))
    steps = plan(compared, known)
    result = {
        "changed": bool(steps),
        "packages": [dict(step._asdict()) for step in steps],
        "compared": compared["compared"],
        "unchecked": compared["unchecked"],
        "virtualenv": environment,
        "diff": difference(steps, environment),
    }
    if steps and not check_mode:
        missing = [item["requirement"] for item in compared["missing"]]
        broken = [item["requirement"] for item in compared["broken"]]
        if missing:
            _pip(python, ["install", "--quiet", *missing], params)
        if broken:
            words = ["install", "--quiet", "--force-reinstall", "--no-deps"]
            _pip(python, words + broken, params)
        after = _compare(python, files, params["modules"])
        left = [item["requirement"] for item in after["missing"] + after["broken"]]
        if left:
            raise RequirementsError(
                "pip has installed what it was given, and these are still not as the"
                " requirements say: %s" % ", ".join(left)
            )
    return result


def _refuse(environment, python, files):
    if not os.path.exists(python):
        raise RequirementsError(
            "%s has no Python: make the virtual environment anew (python3 -m venv --clear)"
            % environment
        )
    owner = os.stat(environment).st_uid
    if owner != os.geteuid():
        raise RequirementsError(
            "%s belongs to user %d and this is user %d: become the app's user, whose programs these"
            " are" % (environment, owner, os.geteuid())
        )
    for path in files:
        if not os.path.isfile(path):
            raise RequirementsError("%s does not exist" % path)


def _compare(python, files, modules):
    # Isolated: nothing of the directory that this happens to run in is imported.
    suspects = ["--module=" + name for name in modules]
    out = _run([python, "-I", "-c", COMPARE, *suspects, *files], {}, 120)
    found = json.loads(out)
    if found.get("error"):
        raise RequirementsError(found["error"])
    return found


def _dry_run(python, missing, params):
    words = ["install", "--dry-run", "--quiet", "--report", "-"]
    out = _pip(python, words + [item["requirement"] for item in missing], params)
    try:
        return json.loads(out[out.index("{") :])
    except ValueError:
        raise RequirementsError("pip's report cannot be read")


def _pip(python, words, params):
    options = ["--disable-pip-version-check", "--no-input"]
    if params["no_index"]:
        words = words + ["--no-index"]
    if params["find_links"]:
        words = words + ["--find-links", params["find_links"]]
    # In the environment, not among the arguments, which everybody on the host may see.
    given = {"PIP_INDEX_URL": params["index_url"]} if params["index_url"] else {}
    return _run([python, "-m", "pip", *options, *words], given, params["timeout"])


def _run(argv, variables: Dict[str, str], timeout):
    environment = dict(os.environ, LC_ALL="C.UTF-8", **variables)
    try:
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise RequirementsError("%s has not ended after %g s" % (" ".join(argv[1:4]), timeout))
    except OSError as error:
        raise RequirementsError("%s cannot be run: %s" % (argv[0], error.strerror))
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip()
        fault = re.sub(r"://[^/\s]*@", "://********@", words)[-_FAULT_LENGTH:]
        raise RequirementsError("pip fails: %s" % (fault or "exit status %d" % done.returncode))
    return done.stdout.decode("utf-8", "replace")
