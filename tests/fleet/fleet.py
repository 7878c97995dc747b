# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference fleet: real Debian hosts with systemd, PostgreSQL, Redis and the app, in podman.

Everything it makes lives in one ignored directory (.fleet/ at the repository's root, or
SERGAS_FLEET_STATE): the SSH key, the inventory, wheels, logs of builds. SERGAS_FLEET_NAME=x is a
separate fleet beside the others: its hosts, its network, its directory (.fleet-x/), the same
images.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import hashlib
import ipaddress
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
NAME = os.environ.get("SERGAS_FLEET_NAME", "")
SUFFIX = "-" + NAME if NAME else ""
STATE = pathlib.Path(
    os.environ.get("SERGAS_FLEET_STATE", HERE.parents[1] / (".fleet" + SUFFIX))
).absolute()
# Debian release -> its Python, whose wheels the app needs.
RELEASES = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13"}
NEEDS = {
    "podman": "podman",
    # The one runtime that serves cgroup v1, v2 and both mixed; crun refuses the mix.
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "netavark": "/usr/lib/podman/netavark",
    "iptables": "iptables",
    "openssh-client": "ssh-keygen",
}
# Required on some Pythons only; pip judges such markers by the Python that downloads.
BACKPORTS = ["async-timeout==5.0.1", "exceptiongroup==1.3.0"]
LABEL = "sergas.fleet" + SUFFIX
NETWORK = "sergas-fleet" + SUFFIX
SUBNETS = [ipaddress.ip_network("10.%d.77.0/24" % n) for n in range(231, 241)]
#: Whether the tests make everything on each release.
EVERYWHERE = os.environ.get("SERGAS_FLEET_TEST_ALL") == "1"
#: Whether new hosts keep what Python compiles of Ansible's modules: those of the tests, by default.
keep_code = False
BALANCER = "lb1"
BALANCER_OFFSET = 2
FIRST_OFFSET = 11
BUILDS_AT_ONCE = 2
BOOTS_AT_ONCE = 4
BOOT_TIMEOUT_S = 180
FAULT_TIMEOUT_S = 180
# The machine's limits; podman's defaults may lie above them, and are then refused.
PRIVILEGES = ["--privileged", "--ulimit", "nofile=1024:20000", "--ulimit", "nproc=10000:10000"]
MEMORY = os.environ.get("SERGAS_FLEET_MEMORY", "1g")
CPUS = os.environ.get("SERGAS_FLEET_CPUS", "1")
# Each systemd takes a handful of inotify instances; 128, the kernel's default, serves 20 hosts.
INOTIFY = {"max_user_instances": 8192, "max_user_watches": 524288}
# A build in memory is spared the fsync of every package; three base systems fit in this.
BUILD_MEMORY_BYTES = 4 * 1024**3
FAULTS = HERE / "faults"
CODE_CACHE = ("code_cache.py", "code_cache.pth")
# Kept SSH connections, by address: a host that is replaced takes its connections with it.
CONNECTIONS = pathlib.Path("/run/sergas-fleet")


class FleetError(Exception):
    """The fleet cannot be had; the message says what it would need."""


@dataclasses.dataclass(frozen=True)
class Host:
    """One host: its name, release, address and role ("app" or "balancer")."""

    name: str
    release: str
    address: str
    role: str

    @property
    def container(self) -> str:
        """The container's name."""
        return "sergas%s-%s" % (SUFFIX, self.name)


@dataclasses.dataclass(frozen=True)
class Fault:
    """A file of faults/ and its header."""

    name: str
    path: pathlib.Path
    number: int
    root: str
    description: str


# --- the machine -----------------------------------------------------------------------------


def run(*command, check: bool = True, **options) -> subprocess.CompletedProcess:
    """Run a command quietly; raises FleetError with its last words when it fails."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    done = subprocess.run([str(word) for word in command], text=True, check=False, **options)
    if check and done.returncode:
        words = ((done.stderr or "") + (done.stdout or "")).strip()[-2000:]
        raise FleetError("%s: exit %d\n%s" % (" ".join(map(str, command)), done.returncode, words))
    return done


def say(text: str) -> None:
    """Tell the person what happens, at once."""
    print(text, flush=True)


def prepare_machine() -> None:
    """Install what is missing and raise the kernel's limits; needs root on Debian or Ubuntu."""
    missing = [name for name, probe in NEEDS.items() if not shutil.which(probe)]
    if os.geteuid():
        raise FleetError(
            "the fleet needs root (containers that boot systemd, a separate network)"
            + (" and the packages " + " ".join(missing) if missing else "")
        )
    if missing:
        run(HERE.parents[1] / "scripts" / "packages.sh", *missing)
    for name, wanted in INOTIFY.items():
        path = pathlib.Path("/proc/sys/fs/inotify") / name
        if int(path.read_text()) < wanted:
            try:
                path.write_text(str(wanted))
            except OSError as error:
                say("fs.inotify.%s stays under %d: %s" % (name, wanted, error))
    STATE.mkdir(parents=True, exist_ok=True)
    CONNECTIONS.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def alone():
    """Hold the machine's lock: one builder or starter at a time, whatever the fleet."""
    CONNECTIONS.mkdir(mode=0o700, exist_ok=True)
    with open(CONNECTIONS / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def mirror() -> str:
    """Return the Debian mirror: SERGAS_FLEET_MIRROR, else what the machine's apt uses."""
    named = os.environ.get("SERGAS_FLEET_MIRROR")
    if named:
        return named
    listed = run(
        "apt-get",
        "indextargets",
        "--format",
        "$(ORIGIN)|$(CODENAME)|$(SUITE)|$(REPO_URI)",
        "Created-By: Packages",
    ).stdout
    for line in listed.splitlines():
        origin, codename, suite, uri = line.split("|")
        if origin == "Debian" and not re.search("-(security|updates|backports)", codename + suite):
            return uri.rstrip("/")
    raise FleetError("apt knows no Debian mirror here: name one in SERGAS_FLEET_MIRROR")


# --- images ----------------------------------------------------------------------------------


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _packages() -> list[str]:
    lines = (HERE / "image/packages.txt").read_text().split("\n")
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _tree_digest(directory: pathlib.Path) -> str:
    files = sorted(p for p in directory.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return _digest(
        *(
            "%s %o %s"
            % (
                p.relative_to(directory),
                p.stat().st_mode & 0o777,
                hashlib.sha256(p.read_bytes()).hexdigest(),
            )
            for p in files
        )
    )


# Translations and manuals are a fifth of the size and no host here reads them.
BOOTSTRAP = [
    "--variant=minbase",
    "--mode=root",
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=Acquire::Retries "3"',
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    # Nor does a host compile a query to machine code or make a locale, for a third of the size.
    "--dpkgopt=path-exclude=/usr/lib/*/libLLVM*",
    "--dpkgopt=path-exclude=/usr/lib/*/libz3.so*",
    "--dpkgopt=path-exclude=/usr/lib/postgresql/*/lib/bitcode/*",
    "--dpkgopt=path-exclude=/usr/lib/postgresql/*/lib/llvmjit*",
    "--dpkgopt=path-exclude=/usr/share/i18n/*",
]


def base_tag(release: str) -> str:
    """Name the image of a release's packages, by what goes into it."""
    return "localhost/sergas-fleet-base:%s-%s" % (
        release,
        _digest(release, *BOOTSTRAP, *_packages()),
    )


def image_tag(release: str) -> str:
    """Name the image of a configured host, by what goes into it."""
    return "localhost/sergas-fleet:%s-%s" % (
        release,
        _digest(base_tag(release), _tree_digest(HERE / "image"), *BACKPORTS),
    )


def _image_exists(tag: str) -> bool:
    return run("podman", "image", "exists", tag, check=False).returncode == 0


def _build_directory() -> str | None:
    """Return a directory in memory for a build, or None where there is too little of it."""
    with contextlib.suppress(OSError):
        free = os.statvfs("/dev/shm")
        if free.f_bavail * free.f_frsize > 2 * BUILD_MEMORY_BYTES:
            text = pathlib.Path("/proc/meminfo").read_text()
            available = re.search(r"MemAvailable:\s+(\d+) kB", text)
            if available and int(available[1]) * 1024 > 2 * BUILD_MEMORY_BYTES:
                return "/dev/shm"
    return None


def _build_base(release: str) -> None:
    archives = STATE / "cache" / release
    archives.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sergas-fleet-", dir=_build_directory()) as directory:
        tar = os.path.join(directory, "base.tar")
        with open(STATE / ("base-%s.log" % release), "w") as log:
            done = subprocess.run(
                [
                    "mmdebstrap",
                    *BOOTSTRAP,
                    "--include=" + ",".join(_packages()),
                    "--skip=download/empty,essential/unlink,cleanup/apt/cache",
                    '--setup-hook=mkdir -p "$1"/var/cache/apt/archives',
                    "--setup-hook=cp -n '%s'/*.deb \"$1\"/var/cache/apt/archives/ || :" % archives,
                    "--customize-hook=cp -n \"$1\"/var/cache/apt/archives/*.deb '%s'/" % archives,
                    '--customize-hook=rm -f "$1"/var/cache/apt/archives/*.deb',
                    release,
                    tar,
                    mirror(),
                ],
                stdout=log,
                stderr=log,
                env=dict(os.environ, TMPDIR=directory),
                check=False,
            )
        if done.returncode:
            raise FleetError("mmdebstrap failed for %s: read %s" % (release, log.name))
        run("podman", "import", "--quiet", tar, base_tag(release))


def wheels(python: str) -> pathlib.Path:
    """Return a directory with the app's requirements as wheels for one Python, by pip."""
    requirements = HERE / "image/app/requirements.txt"
    machine = platform.machine()
    name = "%s-%s" % (python, _digest(requirements.read_text(), machine, *BACKPORTS))
    directory = STATE / "wheels" / name
    if directory.is_dir():
        return directory
    if run(sys.executable, "-m", "pip", "--version", check=False).returncode:
        raise FleetError("pip is missing for %s: install python3-pip" % sys.executable)
    partial = STATE / "wheels" / (name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    run(
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--dest",
        partial,
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--python-version",
        python,
        "--platform",
        "manylinux2014_" + machine,
        "--platform",
        "manylinux_2_17_" + machine,
        "-r",
        requirements,
        *BACKPORTS,
    )
    partial.rename(directory)
    return directory


def _build_image(release: str) -> None:
    started = time.monotonic()
    if not _image_exists(base_tag(release)):
        say("%s: packages from %s" % (release, mirror()))
        _build_base(release)
        say("%s: packages after %.0f s" % (release, time.monotonic() - started))
    python = RELEASES[release]
    with tempfile.TemporaryDirectory(prefix="sergas-fleet-") as context:
        clean = shutil.ignore_patterns("__pycache__")
        shutil.copytree(HERE / "image", context + "/image", ignore=clean)
        shutil.copytree(wheels(python), context + "/wheels/" + python)
        with open(STATE / ("image-%s.log" % release), "w") as log:
            done = subprocess.run(
                [
                    "podman",
                    "build",
                    "--isolation=chroot",
                    "--pull-never",
                    "--squash",
                    "--no-cache",
                    "--build-arg",
                    "BASE=" + base_tag(release),
                    "--build-arg",
                    "PYTHON=" + python,
                    "--label",
                    LABEL + ".release=" + release,
                    "--tag",
                    image_tag(release),
                    "--file",
                    context + "/image/Containerfile",
                    context,
                ],
                stdout=log,
                stderr=log,
                check=False,
            )
    if done.returncode:
        raise FleetError("the image of %s failed: read %s" % (release, log.name))
    say("%s: image after %.0f s" % (release, time.monotonic() - started))


def images(releases: list[str]) -> None:
    """Build the images that are not there yet, two at a time."""
    missing = [release for release in releases if not _image_exists(image_tag(release))]
    with concurrent.futures.ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        list(pool.map(_build_image, missing))
    for release in missing:
        _remove_old_images(release)


def _remove_old_images(release: str) -> None:
    """Remove a release's images of older inputs; those that a host still uses stay."""
    kept = {base_tag(release), image_tag(release)}
    listed = run("podman", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    for tag in listed:
        if re.match(r"localhost/sergas-fleet(-base)?:%s-" % release, tag) and tag not in kept:
            run("podman", "rmi", tag, check=False)


# --- the network and its hosts ---------------------------------------------------------------


def _routes() -> list:
    routes = json.loads(run("ip", "-4", "-json", "route").stdout or "[]")
    return [ipaddress.ip_network(r["dst"]) for r in routes if r["dst"] != "default"]


def _subnets(described: list[dict]) -> list:
    """Return the subnets of podman's networks, as it describes them."""
    found = []
    for one in described:
        # The second form is that of podman's older network backend.
        found += [each["subnet"] for each in one.get("subnets") or ()]
        for plugin in one.get("plugins") or ():
            ranges = plugin.get("ipam", {}).get("ranges") or ()
            found += [each["subnet"] for several in ranges for each in several]
    return [ipaddress.ip_network(subnet) for subnet in found]


def network() -> ipaddress.IPv4Network:
    """Return the fleet's subnet; the network is made where it is missing, beside all routes and
    all networks of podman's, which have none while no container is in them.
    """
    seen = run("podman", "network", "inspect", NETWORK, check=False)
    if seen.returncode == 0:
        return _subnets(json.loads(seen.stdout))[0]
    others = run("podman", "network", "ls", "--quiet").stdout.split()
    described = run("podman", "network", "inspect", *others).stdout if others else "[]"
    taken = [
        *_routes(),
        *(other for other in _subnets(json.loads(described)) if other.version == 4),
    ]
    for subnet in SUBNETS:
        if not any(subnet.overlaps(other) for other in taken):
            run("podman", "network", "create", "--disable-dns", "--subnet", subnet, NETWORK)
            return subnet
    raise FleetError("no free subnet among " + ", ".join(map(str, SUBNETS)))


def key() -> pathlib.Path:
    """Return the private key of the fleet, made at first use."""
    path = STATE / "id_ed25519"
    if not path.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sergas-fleet", "-f", path)
    return path


def plan(count: int, releases: list[str], balancer: bool) -> list[Host]:
    """Lay out a fleet: count hosts over the releases in turn, and the balancer if wanted."""
    subnet = network()
    hosts = []
    for index in range(count):
        release = releases[index % len(releases)]
        name = "%s%d" % (release, index // len(releases) + 1)
        hosts.append(Host(name, release, str(subnet[FIRST_OFFSET + index]), "app"))
    if balancer:
        release = "bookworm" if "bookworm" in releases else releases[0]
        hosts.append(Host(BALANCER, release, str(subnet[BALANCER_OFFSET]), "balancer"))
    return hosts


def running() -> list[Host]:
    """Return the hosts that run now."""
    listed = run("podman", "ps", "--filter", "label=" + LABEL + ".host", "--format", "json").stdout
    hosts = []
    for container in json.loads(listed or "[]"):
        labels = container["Labels"]
        hosts.append(
            Host(*(labels[LABEL + "." + part] for part in ("host", "release", "address", "role")))
        )
    return sorted(hosts, key=lambda host: ipaddress.ip_address(host.address))


#: What ``find`` has found: a host that is replaced keeps its release and address, and to query
#: podman each time costs more than most queries of a host.
_found: dict[str, Host] = {}


def find(name: str) -> Host:
    """Return a host that runs, or did before in this process, by name; raises FleetError."""
    if name not in _found:
        _found.update((host.name, host) for host in running())
    if name not in _found:
        raise FleetError("%s is not up; up are: %s" % (name, " ".join(h.name for h in running())))
    return _found[name]


def _spec(host: Host) -> str:
    """Identify what a host is made of: a host of another spec is not this one."""
    public = (STATE / "id_ed25519.pub").read_text()
    parts = [public, host.address, host.role, MEMORY, CPUS, *_code_cache(host)]
    return _digest(image_tag(host.release), *parts)


def _code_cache(host: Host) -> list[str]:
    """Return podman's options for what keeps compiled code on a host."""
    if not keep_code:
        return []
    directory = "/usr/local/lib/python%s/dist-packages" % RELEASES[host.release]
    volumes = ["%s:%s/%s:ro" % (HERE / name, directory, name) for name in CODE_CACHE]
    return [word for volume in volumes for word in ("--volume", volume)]


def runtime(image: str) -> list[str]:
    """Return podman's option for a runtime that starts a container here: the default if it does."""
    reasons = []
    for options in ([], ["--runtime=runc"], ["--runtime=crun"]):
        tried = run(
            "podman",
            *options,
            "run",
            "--rm",
            "--network=none",
            *PRIVILEGES,
            image,
            "/bin/true",
            check=False,
        )
        if tried.returncode == 0:
            return options
        reasons.append(" ".join(options) + tried.stderr.strip()[-500:])
    raise FleetError("no container runtime works here:\n" + "\n".join(reasons))


def create(host: Host, options: list[str]) -> None:
    """Start one fresh host, in place of one of its name; does not wait for it."""
    run("podman", "rm", "--force", "--ignore", "--time", "0", "--volumes", host.container)
    for kept in CONNECTIONS.glob(host.address + "-*"):
        kept.unlink(missing_ok=True)
    subnet = network()
    public = STATE / "id_ed25519.pub"
    labels = {
        "host": host.name,
        "release": host.release,
        "address": host.address,
        "role": host.role,
        "spec": _spec(host),
    }
    words = [
        "podman",
        *options,
        "run",
        "--detach",
        "--name",
        host.container,
        "--hostname",
        host.name,
        "--network",
        NETWORK,
        "--ip",
        host.address,
        "--systemd=always",
        *PRIVILEGES,
        "--stop-timeout=1",
        "--memory",
        MEMORY,
        "--cpus",
        CPUS,
        "--env",
        "FLEET_CONTROLLER=" + str(subnet[1]),
        "--env",
        "FLEET_BALANCER=" + str(subnet[BALANCER_OFFSET]),
        "--volume",
        "%s:/root/.ssh/authorized_keys:ro" % public,
        "--volume",
        "%s:/home/ops/.ssh/authorized_keys:ro" % public,
        *_code_cache(host),
    ]
    for name, value in labels.items():
        words += ["--label", "%s.%s=%s" % (LABEL, name, value)]
    run(*words, image_tag(host.release))


def _answers(host: Host) -> bool:
    """Query the app first: each connection to sshd leaves a line in the host's journal."""
    try:
        if host.role != "balancer":
            with urllib.request.urlopen("http://%s:8000/health" % host.address, timeout=2) as reply:
                if reply.status != 200:
                    return False
        socket.create_connection((host.address, 22), timeout=1).close()
    except (OSError, urllib.error.URLError):
        return False
    return True


def wait(host: Host, timeout_s: float = BOOT_TIMEOUT_S) -> None:
    """Wait until a host has booted without a failed unit and its app is healthy."""
    deadline = time.monotonic() + timeout_s
    while not _answers(host):
        if time.monotonic() > deadline:
            words = on(
                host,
                "systemctl --failed --no-legend --plain; journalctl -u sergas-app -n 20 --no-pager",
                check=False,
            ).stdout
            raise FleetError("%s is not healthy after %d s\n%s" % (host.name, timeout_s, words))
        time.sleep(0.3)
    state = on(host, "systemctl is-system-running --wait", check=False).stdout.strip()
    if state != "running":
        failed = on(host, "systemctl --failed --no-legend --plain", check=False).stdout
        raise FleetError("%s booted %s: %s" % (host.name, state, failed))


def on(host: Host, script: str, check: bool = True, **options) -> subprocess.CompletedProcess:
    """Run a shell script on a host as root."""
    return run("podman", "exec", host.container, "sh", "-c", script, check=check, **options)


def _start(host: Host, options: list[str]) -> float:
    started = time.monotonic()
    create(host, options)
    wait(host)
    return time.monotonic() - started


def up(count: int = 3, releases: list[str] | None = None, balancer: bool = False) -> list[Host]:
    """Bring up exactly such a fleet: what runs already and fits stays, the rest goes."""
    releases = releases or list(RELEASES)
    prepare_machine()
    _found.clear()
    with alone():
        key()
        used = releases[:count] or releases[:1]
        images(used)
        wanted = plan(count, releases, balancer)
        specs = {host.container: _spec(host) for host in wanted}
        present = json.loads(
            run(
                "podman", "ps", "--all", "--filter", "label=" + LABEL + ".host", "--format", "json"
            ).stdout
            or "[]"
        )
        fitting = set()
        for container in present:
            name = container["Names"][0]
            fits = specs.get(name) == container["Labels"][LABEL + ".spec"]
            if fits and container["State"] == "running":
                fitting.add(name)
            else:
                run("podman", "rm", "--force", "--time", "0", "--volumes", name)
        options = runtime(image_tag(used[0]))
        (STATE / "runtime").write_text(" ".join(options))
        todo = [host for host in wanted if host.container not in fitting]
        with concurrent.futures.ThreadPoolExecutor(BOOTS_AT_ONCE) as pool:
            waiting = {pool.submit(_start, host, options): host for host in todo}
            for future in concurrent.futures.as_completed(waiting):
                host = waiting[future]
                say("%-12s %-15s healthy after %.1f s" % (host.name, host.address, future.result()))
        inventory()
    return wanted


def down() -> None:
    """Remove every host and the fleet's network; images and the key stay."""
    if not shutil.which("podman"):
        return
    with alone():
        names = run("podman", "ps", "--all", "--quiet", "--filter", "label=" + LABEL + ".host")
        if names.stdout.split():
            run("podman", "rm", "--force", "--time", "0", "--volumes", *names.stdout.split())
        run("podman", "network", "rm", "--force", NETWORK, check=False)
        with contextlib.suppress(FileNotFoundError):
            (STATE / "inventory.yml").unlink()


def reset(names: list[str], without: list[str] | None = None) -> None:
    """Replace these hosts by fresh ones, and wait until they are healthy.

    Args:
        without: Debian packages that they then do not have.
    """
    hosts = [find(name) for name in names]
    renew(hosts)
    for host in hosts:
        remove_packages(host, without or [])


def remove_packages(host: Host, packages: list[str]) -> None:
    """Remove packages from a running host, until it is renewed; what depends on them stays."""
    if packages:
        on(host, "dpkg --remove --force-depends " + " ".join(packages))


def renew(hosts: list[Host]) -> None:
    """Start these hosts anew, whether or not they run, and wait until they are healthy."""
    options = (STATE / "runtime").read_text().split()
    with concurrent.futures.ThreadPoolExecutor(BOOTS_AT_ONCE) as pool:
        list(pool.map(lambda host: _start(host, options), hosts))


def remove(hosts: list[Host]) -> None:
    """Remove these hosts at once; renew() makes them anew."""
    if hosts:
        run(
            "podman",
            "rm",
            "--force",
            "--ignore",
            "--time",
            "0",
            "--volumes",
            *(host.container for host in hosts),
        )


def inventory() -> pathlib.Path:
    """Write the inventory of the running hosts and return its path."""
    lines = [
        "all:",
        "  vars:",
        "    ansible_user: root",
        "    ansible_ssh_private_key_file: %s" % (STATE / "id_ed25519"),
        "    ansible_python_interpreter: /usr/bin/python3",
        "    # Hosts of the fleet come and go with new keys at the same addresses.",
        "    ansible_ssh_common_args: >-",
        "      -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        "    ansible_control_path: %s/%%%%h-%%%%r" % CONNECTIONS,
        "    sergas_balancer_addresses: [%s]" % network()[BALANCER_OFFSET],
        "  children:",
    ]
    groups: dict[str, list[Host]] = {}
    for host in running():
        group = "sergas_lb" if host.role == "balancer" else host.release
        groups.setdefault(group, []).append(host)
    for group, hosts in sorted(groups.items()):
        lines.append("    %s:" % group)
        if group == "sergas_lb":
            backends = ["%s:8000" % host.address for host in running() if host.role == "app"]
            lines += ["      vars:", "        sergas_backends: [%s]" % ", ".join(backends)]
        lines.append("      hosts:")
        for host in hosts:
            lines += ["        %s:" % host.name, "          ansible_host: %s" % host.address]
            lines += ["          release: %s" % host.release]
    path = STATE / "inventory.yml"
    path.write_text("\n".join(lines) + "\n")
    return path


# --- faults ----------------------------------------------------------------------------------


def read_fault(path: pathlib.Path) -> Fault:
    """Read a fault file's header."""
    fields = {}
    for line in path.read_text().splitlines()[1:]:
        found = re.match(r"# ([a-z]+): (.*)", line)
        if found:
            fields.setdefault(found[1], found[2].strip())
        elif not line.startswith("#"):
            break
    missing = {"fault", "root", "description"} - set(fields)
    if missing:
        raise FleetError("%s: its header is missing %s" % (path.name, ", ".join(sorted(missing))))
    return Fault(path.name, path, int(fields["fault"]), fields["root"], fields["description"])


def faults() -> dict[str, Fault]:
    """Return every fault by name."""
    paths = sorted(p for p in FAULTS.iterdir() if re.match(r"\d\d_", p.name))
    return {path.name: read_fault(path) for path in paths}


def tried_on(release: str) -> list[str]:
    """Return the releases for what is tried on one: all of them with SERGAS_FLEET_TEST_ALL=1."""
    return list(RELEASES) if EVERYWHERE else [release]


def _fault(verb: str, name: str, host_name: str) -> None:
    if name not in faults():
        raise FleetError("no fault %s; there are: %s" % (name, " ".join(faults())))
    host = find(host_name)
    files = subprocess.run(
        ["tar", "-C", str(FAULTS), "-ch", "."], stdout=subprocess.PIPE, check=True
    )
    script = ("mkdir -p {0} && tar -xC {0} && FLEET_BALANCER={1} {0}/{2} {3} < /dev/null").format(
        "/opt/fleet-faults", network()[BALANCER_OFFSET], name, verb
    )
    done = subprocess.run(
        ["podman", "exec", "-i", host.container, "sh", "-c", script],
        input=files.stdout,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=FAULT_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        words = done.stdout.decode(errors="replace")[-2000:]
        raise FleetError("%s %s on %s failed:\n%s" % (name, verb, host_name, words))


def inject(name: str, host_name: str) -> None:
    """Make a fault happen on a host; returns when it shows."""
    _fault("inject", name, host_name)


def clear(name: str, host_name: str) -> None:
    """Take a fault away again; returns when the host is healthy."""
    _fault("clear", name, host_name)


# --- the command line ------------------------------------------------------------------------


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("up", "images"):
        sub = verbs.add_parser(verb)
        sub.add_argument("--releases", nargs="+", choices=list(RELEASES), default=list(RELEASES))
        if verb == "up":
            sub.add_argument("--hosts", type=int, default=3, help="how many (default: 3)")
            sub.add_argument("--balancer", action="store_true", help="and lb1 in group sergas_lb")
    verbs.add_parser("down")
    verbs.add_parser("inventory")
    verbs.add_parser("list")
    verbs.add_parser("faults")
    sub = verbs.add_parser("reset")
    sub.add_argument("host", nargs="+")
    sub.add_argument("--without", action="append", metavar="PACKAGE", help="may be repeated")
    for verb in ("inject", "clear"):
        sub = verbs.add_parser(verb)
        sub.add_argument("fault")
        sub.add_argument("host")
    sub = verbs.add_parser("exec")
    sub.add_argument("host")
    sub.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args()


def main() -> int:
    """Do what the command line says; return the exit status."""
    args = _arguments()
    try:
        if args.verb == "up":
            if not 0 < args.hosts <= 200:
                raise FleetError("--hosts takes 1 to 200")
            started = time.monotonic()
            up(args.hosts, args.releases, args.balancer)
            say(
                "fleet up after %.0f s; inventory: %s"
                % (time.monotonic() - started, STATE / "inventory.yml")
            )
        elif args.verb == "images":
            prepare_machine()
            with alone():
                images(args.releases)
            for release in args.releases:
                say(image_tag(release))
        elif args.verb == "down":
            down()
        elif args.verb == "inventory":
            say(inventory().read_text().rstrip())
        elif args.verb == "list":
            for host in running():
                say("%-12s %-10s %s" % (host.name, host.release, host.address))
        elif args.verb == "faults":
            for fault in faults().values():
                say("%-32s %-28s %s" % (fault.name, fault.root, fault.description))
        elif args.verb == "reset":
            reset(args.host, args.without)
        elif args.verb == "exec":
            words = args.command[1:] if args.command[:1] == ["--"] else args.command
            tty = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
            host = find(args.host)
            return subprocess.call(["podman", "exec", "-i", *tty, host.container, *words])
        else:
            {"inject": inject, "clear": clear}[args.verb](args.fault, args.host)
    except FleetError as error:
        print("fleet: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
