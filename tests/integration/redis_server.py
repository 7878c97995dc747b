# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real Redis servers, each with its own ports and directory."""

from __future__ import annotations

import signal
import subprocess
import time

import redis

from .ports import reserve_port


def until(condition, seconds=20):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


class RedisServer:
    """A server on dedicated ports and a Unix socket in its directory.

    Attributes:
        port: for TCP.
        tls_port: for TLS, where there is a certificate.
        socket: the path of the Unix socket.
        client: a client of redis-py, with the password.
    """

    def __init__(self, directory, *options, password=None, certificate=None, leading=()):
        self.directory, self.leading, self.options = directory, leading, options
        self.password, self.certificate = password, certificate
        self.socket = directory / "redis.sock"
        self.port, self.tls_port = reserve_port(), reserve_port()
        self.client = redis.Redis(port=self.port, password=password, decode_responses=True)
        self.start()

    def start(self):
        """Start it, or start it again, and wait until it answers."""
        command = ["redis-server", *self.leading, "--port", self.port, "--bind", "127.0.0.1"]
        command += ["--dir", self.directory]
        if not self.leading:
            command += ["--unixsocket", self.socket, "--save", ""]
        if self.password:
            command += ["--requirepass", self.password]
        if self.certificate:
            command += ["--tls-port", self.tls_port, "--tls-auth-clients", "no"]
            command += ["--tls-cert-file", self.certificate]
            command += ["--tls-key-file", self.certificate.with_name("key.pem")]
        command = [str(word) for word in [*command, *self.options]]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self):
        assert self.process.poll() is None, "redis-server has ended"
        try:
            # Another server on the port knows another process.
            return self.client.info("server")["process_id"] == self.process.pid
        except (redis.exceptions.ConnectionError, redis.exceptions.ResponseError):
            return False

    def suspend(self):
        """Have it hang, until it is stopped."""
        self.process.send_signal(signal.SIGSTOP)

    def stop(self):
        """End it at once, suspended or not."""
        self.process.kill()
        self.process.wait()
