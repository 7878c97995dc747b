# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The versions of ansible-core and Python that the collection supports, as environments to test in.

A controller has its own ansible-core and Python. A target has only a Python: what runs on it finds
the collection and the controller's ``ansible.module_utils``, as in the program that Ansible sends.

Environments are made in .cache/matrix when they are first needed. A version of ansible-core whose
Python this machine does not have runs in a container of the fleet's image of trixie, as root; with
SERGAS_TEST_PYTHONS="3.11", which hides the others, that can be tried where they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import ansible
import yaml
from ansible.release import __version__ as own_version

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache" / "matrix"
#: For each ansible-core: the Pythons of a controller, the one to prefer first.
CONTROLLERS = {
    "2.18": ("3.11", "3.12", "3.13"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13"),
    "2.21": ("3.13", "3.12"),
}
#: For each Python of a target: the oldest ansible-core that it is too old for, or None.
TARGETS = {"3.8": "2.20", "3.9": None, "3.10": None, "3.11": None, "3.12": None, "3.13": None}
OLDEST, NEWEST = min(CONTROLLERS), max(CONTROLLERS)
#: All that is tried unless everything is: each Python once, and each ansible-core at least once.
SOME = {
    ("2.19", "3.8"),
    ("2.21", "3.9"),
    ("2.18", "3.10"),
    ("2.19", "3.11"),
    ("2.20", "3.12"),
    ("2.21", "3.13"),
}
#: The ansible-core and the Python of the environment that runs the tests; its unit tests are those
#: of ``make unit``.
OWN = (".".join(own_version.split(".")[:2]), "%d.%d" % sys.version_info[:2])
EVERYTHING = os.environ.get("SERGAS_FLEET_TEST_ALL") == "1"
#: What the unit tests import, of tests/requirements.txt.
CONTROLLER_PACKAGES = ("pytest", "jsonschema")
TARGET_PACKAGES = ("pytest", "PyYAML", "redis")
#: Of the fleet: a container of it has this Python.
RELEASE, RELEASE_PYTHON = "trixie", "3.13"


class Unavailable(Exception):
    """This machine cannot make an environment; the message says why."""


@dataclasses.dataclass(frozen=True)
class Controller:
    """An environment with an ansible-core.

    Attributes:
        core: its version.
        python: the version of its Python.
        directory: of the virtual environment.
        prefix: the words before each command in it.
    """

    core: str
    python: str
    directory: Path
    prefix: tuple[str, ...] = ()

    def command(self, name: str, *words) -> list[str]:
        """Return a command: a program of the environment, and its arguments."""
        return [*self.prefix, str(self.directory / "bin" / name), *map(str, words)]

    @property
    def packages(self) -> Path:
        """The directory of its packages."""
        return self.directory / "lib" / ("python" + self.python) / "site-packages"


def fits(core: str, python: str) -> bool:
    """Return whether an ansible-core supports a Python on targets."""
    too_new = TARGETS[python]
    return too_new is None or core < too_new


def combinations(everything: bool = EVERYTHING) -> list[tuple[str, str]]:
    """Return the (ansible-core, Python of a target) to test: all that there are; or SOME without
    what ``make unit`` tests, and each ansible-core that has no Python of this machine in SOME with
    the newest one here.
    """
    found = [(core, one) for core in CONTROLLERS for one in TARGETS if fits(core, one)]
    if everything:
        return found
    chosen = set(SOME)
    for core in CONTROLLERS:
        here = [pair for pair in found if pair[0] == core and pair[1] in pythons()]
        if SOME.isdisjoint(here):
            chosen.update(here[-1:])
    return [pair for pair in found if pair in chosen - {OWN}]


def controllers(everything: bool = EVERYTHING) -> list[str]:
    """Return the versions of ansible-core whose controllers are to be tested."""
    return [core for core in CONTROLLERS if everything or core != OWN[0]]


# --- what this machine has -------------------------------------------------------------------


@functools.cache
def pythons() -> dict[str, str]:
    """Return {version: path} of the Pythons of this machine that targets may have."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([CHECKOUT / "tests" / "pythons.sh", directory], check=True)
        links = Path(directory).iterdir()
        return {link.name[len("python") :]: os.path.realpath(link) for link in links}


def python(version: str) -> str:
    """Return the path of the Python of a version here."""
    try:
        return pythons()[version]
    except KeyError:
        raise Unavailable("this machine has no Python " + version)


def container() -> tuple[str, ...]:
    """Return the words that run a command in a container that sees the checkout as this machine
    does, and this machine's network.
    """
    sys.path.insert(0, str(CHECKOUT / "tests" / "fleet"))
    import fleet

    image = fleet.image_tag(RELEASE)
    if os.geteuid():
        raise Unavailable("a container needs root")
    if (
        not shutil.which("podman")
        or fleet.run("podman", "image", "exists", image, check=False).returncode
    ):
        raise Unavailable("the fleet's image of %s is not here (make fleet-images)" % RELEASE)
    seen = [CHECKOUT, Path(sys.prefix).resolve(), tempfile.gettempdir()]
    # Packages are installed as on this machine: with its certificates and its settings of pip.
    read = ["/etc/ssl/certs", *filter(os.path.exists, ("/etc/pip.conf", "/etc/xdg/pip"))]
    return (
        "podman",
        *fleet.runtime(image),
        *("run", "--rm", "--network=host", "--env-host", *fleet.PRIVILEGES),
        *("--volume=%s:%s" % (path, path) for path in dict.fromkeys(map(str, seen))),
        *("--volume=%s:%s:ro" % (path, path) for path in read),
        # The connections that are kept here end with their own container.
        "--tmpfs=" + str(fleet.CONNECTIONS),
        "--workdir=" + str(CHECKOUT),
        image,
    )


# --- environments ----------------------------------------------------------------------------


def requirements(*names: str) -> list[str]:
    """Return the lines of tests/requirements.txt for some packages."""
    lines = (CHECKOUT / "tests" / "requirements.txt").read_text().splitlines()
    found = {re.match(r"[\w.-]*", line)[0]: line for line in lines}
    return [found[name] for name in names]


@contextlib.contextmanager
def _alone():
    """Hold the lock of the cache: several runs of tests may need the same environment."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(directory: Path, prefix: tuple[str, ...], interpreter: str, packages: list[str]) -> None:
    """Make a virtual environment with packages, unless it is there as it was made from them."""
    made_from = directory / "made-from"
    words = "\n".join([*prefix, os.path.realpath(interpreter), *packages])
    with _alone():
        if made_from.exists() and made_from.read_text() == words:
            return
        _run([*prefix, interpreter, "-m", "venv", "--clear", str(directory)])
        pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "-qq"]
        _run([*prefix, *pip, "--no-compile", "--disable-pip-version-check", *packages])
        made_from.write_text(words)


def _run(words: list[str]) -> None:
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError("%s: exit %d\n%s" % (" ".join(words), done.returncode, done.stdout))


@functools.cache
def controller(core: str) -> Controller:
    """Return the controller with an ansible-core, after making it.

    Raises:
        Unavailable: neither this machine nor a container has a Python for it.
    """
    if core == OWN[0]:
        return Controller(core, OWN[1], Path(sys.prefix))
    version = next((version for version in CONTROLLERS[core] if version in pythons()), None)
    if version:
        made = Controller(core, version, CACHE / ("core-%s-python%s" % (core, version)))
        interpreter = python(version)
    else:
        try:
            prefix = container()
        except Unavailable as error:
            needed = " or ".join(sorted(CONTROLLERS[core]))
            raise Unavailable("this machine has no Python %s, and %s" % (needed, error))
        made = Controller(core, RELEASE_PYTHON, CACHE / ("core-%s-container" % core), prefix)
        interpreter = "/usr/bin/python3"
    packages = ["ansible-core==%s.*" % core, *requirements(*CONTROLLER_PACKAGES)]
    _make(made.directory, made.prefix, interpreter, packages)
    _link_collections(made.packages / "ansible_collections")
    return made


def _link_collections(directory: Path) -> None:
    """Make the collections that galaxy.yml names, and the callback of the fleet's tests, available
    in an environment: those that the package ``ansible`` has brought.
    """
    bundled = Path(ansible.__file__).resolve().parents[1] / "ansible_collections"
    needed = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["dependencies"]
    for namespace, name in (one.split(".") for one in [*needed, "ansible.posix"]):
        _link(directory / namespace / name, bundled / namespace / name)


def _link(link: Path, there: Path) -> None:
    with _alone():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(there)


@functools.cache
def target(core: str, version: str) -> tuple[list[str], dict[str, str]]:
    """Return the command of a target's Python, and the environment variables with which it finds
    the tests' packages and what a controller with an ansible-core sends.

    Raises:
        Unavailable: this machine does not have that Python, or no Python for that ansible-core.
    """
    interpreter = python(version)
    tree = CACHE / ("target-" + core)
    # Their oldest version that any of the Pythons here takes serves the newer ones, too.
    oldest = min(pythons(), key=lambda found: int(found.partition(".")[2]))
    packages = CACHE / ("tests-python" + oldest)
    module_utils = controller(core).packages / "ansible" / "module_utils"
    _make(packages, (), python(oldest), requirements(*TARGET_PACKAGES))
    _link(tree / "ansible" / "module_utils", module_utils)
    _link(tree / "ansible_collections" / "sergas" / "ops", CHECKOUT)
    (tree / "ansible" / "__init__.py").touch()
    found = [tree, packages / "lib" / ("python" + oldest) / "site-packages"]
    return [interpreter], {"PYTHONPATH": os.pathsep.join(map(str, found))}


# --- the table -------------------------------------------------------------------------------


def table(results: dict[tuple[str, str], tuple[str, str]]) -> str:
    """Return which combinations were run, and why the others were not.

    Args:
        results: {(ansible-core, Python of targets, or "controller"): (outcome, reason)}, the
            outcome "run", "failed" or "not run".
    """
    columns = [*TARGETS, "controller"]
    reasons: list[str] = []
    rows = [["", *columns]]
    for core in CONTROLLERS:
        row = [core]
        for column in columns:
            outcome, reason = results.get((core, column)) or _without_test(core, column)
            if reason and reason not in reasons:
                reasons.append(reason)
            row.append("%s %d" % (outcome, reasons.index(reason) + 1) if reason else outcome)
        rows.append(row)
    lines = ["ansible-core x Python of targets, and the controller"]
    lines += ["".join("%-12s" % word for word in row).rstrip() for row in rows]
    lines += ["%d: %s" % (number, reason) for number, reason in enumerate(reasons, 1)]
    return "\n".join(lines) + "\n"


def _without_test(core: str, column: str) -> tuple[str, str]:
    """Return the cell of what no test has run for."""
    on_target = column in TARGETS
    if on_target and not fits(core, column):
        return "-", ""
    if (core, column) == OWN or (core == OWN[0] and not on_target):
        return "by unit", "make unit runs it: this is its own environment"
    chosen = not on_target or (core, column) in combinations()
    return "not run", "not selected" if chosen else "only with SERGAS_FLEET_TEST_ALL=1"
