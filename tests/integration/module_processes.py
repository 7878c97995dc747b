# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules as separate processes, without the start of Python and the imports for each of them.

One process has imported what the modules import, and forks a child for each call. The child has
the environment, the directory and the standard streams of the caller. This file is both: imported,
it is the caller's side; run with the name of a driver, it is that process.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"
REQUEST_BYTES = 1 << 17


class ModuleProcesses:
    """Modules of the collection as processes of the same driver.

    Args:
        tree: a directory that holds ``ansible_collections``.
        driver: with ``pgwire`` the modules find no psycopg2, as on a host without it.
    """

    def __init__(self, tree, driver):
        self._requests, served = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with served:
            self._process = subprocess.Popen(
                [sys.executable, __file__, driver],
                stdin=served,
                env={**os.environ, "PYTHONPATH": str(tree)},
            )

    def run(self, name, arguments):
        """Run a module; return what it has written to its standard output and error."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
            given.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
            given.seek(0)
            reader, writer = os.pipe()
            request = {"name": name, "environment": dict(os.environ), "directory": os.getcwd()}
            streams = [given.fileno(), writer, errors.fileno()]
            try:
                socket.send_fds(self._requests, [json.dumps(request).encode()], streams)
            finally:
                os.close(writer)
            with open(reader, "rb") as output:
                # Its end: the child, and what it has left running with this stream, have ended.
                written = output.read().decode()
            errors.seek(0)
            return written, errors.read().decode()

    def close(self):
        self._requests.close()
        self._process.wait()


def _reap(*_unused):
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def serve(driver):
    """Fork a child for each request; return in the child, with the path of its module."""
    if driver == "pgwire":
        sys.modules["psycopg2"] = None
    for path in MODULES.glob("*.py"):
        importlib.import_module("ansible_collections.sergas.ops.plugins.modules." + path.stem)
    gc.freeze()
    requests = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGCHLD, _reap)
    while True:
        message, streams, _flags, _address = socket.recv_fds(requests, REQUEST_BYTES, 3)
        if not message:
            sys.exit()
        if os.fork():
            for stream in streams:
                os.close(stream)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        requests.close()
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
            os.close(stream)
        request = json.loads(message)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["directory"])
        return str(MODULES / (request["name"] + ".py"))


def run(path):
    """Run a module, and end with its exit status: what was imported before is not torn down."""
    sys.argv = [path]
    status = 0
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    # Python has no other way to run them, and none of the functions is left out.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else bool(status))


if __name__ == "__main__":
    run(serve(sys.argv[1]))
