# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files, directories and addresses that settings name, and that a server uses at its start.

A server takes such a value without a word while it runs, and does not come up with it: what is
missing there is found by its own system user, before anything is written.
"""

from __future__ import annotations

import json
import os
import sys

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    cluster as clusters,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import hba, values

#: By the name of the setting: what the server has where nothing else is said.
TLS = {
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
    "ssl_ca_file": "",
    "ssl_crl_file": "",
    "ssl_dh_params_file": "",
}
_ACCESS = {"hba_file": "pg_hba.conf", "ident_file": "pg_ident.conf"}
#: It only says how TLS is spoken; an empty value is the default.
_TLS_WORDS = ("ssl_ciphers", "ssl_ecdh_curve")
_PROTOCOLS = ("tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3")
_SWITCHES = ("ssl", "logging_collector", "ssl_min_protocol_version", "ssl_max_protocol_version")
_DIRECTORIES = ("unix_socket_directories", "log_directory", "stats_temp_directory", "ssl_crl_dir")
_ENDPOINTS = ("listen_addresses", "port")
#: A plan that touches none of these takes nothing of this.
CONCERNED = frozenset((*TLS, *_ACCESS, *_TLS_WORDS, *_SWITCHES, *_DIRECTORIES, *_ENDPOINTS))
_MOST_BYTES = 1 << 20

#: Runs as the server's own user, with one argument: what to try, as JSON. It prints {what: why not}
#: and, of the files to read, {path: text}. It opens what that user may open, and shows no key.
_PROGRAM = r"""
import json, os, socket, ssl, stat, sys

wanted, found, texts = json.loads(sys.argv[1]), {}, {}


def tried(what, function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        found.setdefault(what, getattr(error, "strerror", None) or str(error))


def read(path):
    with open(path, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is no regular file")
        return file.read(wanted["most"]).decode("utf-8", "replace")


def owned(path):
    status = os.stat(path)
    if status.st_uid not in (0, os.geteuid()):
        raise OSError(0, "it must belong to the server's user or to root")
    if status.st_mode & (0o077 if status.st_uid == os.geteuid() else 0o037):
        raise OSError(0, "others may read it: its mode is %o" % stat.S_IMODE(status.st_mode))


def password():
    raise ValueError("encrypted")


def pair(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password)
    except ValueError:
        found["encrypted"] = "encrypted"


def directory(path, written):
    if not os.path.isdir(path):
        raise OSError(0, "there is no such directory")
    if not os.access(path, os.X_OK | (os.W_OK if written else os.R_OK)):
        raise OSError(0, "the server's user may not use it")


def bound(addresses, port):
    reasons = []
    for name in addresses:
        name = None if name == "*" else name
        try:
            for family, kind, _protocol, _name, address in socket.getaddrinfo(
                name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                with socket.socket(family, kind) as one:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == socket.AF_INET6:
                        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    try:
                        one.bind(address)
                        return
                    except OSError as error:
                        reasons.append("%s port %d: %s" % (address[0], port, error.strerror))
        except OSError as error:
            reasons.append("%s: %s" % (name, error.strerror))
    if reasons:
        raise OSError(0, "; ".join(reasons))


for name, path in wanted["files"].items():
    tried(name, read, path)
for name, path in wanted["texts"].items():
    texts[name] = tried(name, read, path)
for name, path, written in wanted["directories"]:
    tried(name, directory, path, written)
tls = wanted["tls"]
if tls:
    if "ssl_key_file" not in found:
        tried("ssl_key_file", owned, tls["ssl_key_file"])
    if not found:
        tried("ssl_key_file", pair, tls["ssl_cert_file"], tls["ssl_key_file"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in ("ssl_ca_file", "ssl_crl_file"):
        if tls.get(name) and name not in found:
            tried(name, context.load_verify_locations, tls[name])
    if tls.get("ssl_ciphers"):
        tried("ssl_ciphers", context.set_ciphers, tls["ssl_ciphers"])
    if tls.get("ssl_ecdh_curve") and ":" not in tls["ssl_ecdh_curve"]:
        tried("ssl_ecdh_curve", context.set_ecdh_curve, tls["ssl_ecdh_curve"])
if wanted["addresses"]:
    tried("listen_addresses", bound, wanted["addresses"], wanted["port"])
print(json.dumps([found, texts]))
"""


def refusals(value, before, cluster, deadline):
    """Return (why the server would not start with its settings, what could not be checked).

    Args:
        value: function of a name that returns its value after the change, or None.
        before: the same for now.
        cluster: the ``cluster.Cluster``.
        deadline: the Deadline of the check.
    """
    wanted, notes = requests(value, before, cluster)
    refused = [
        "%s must be absolute: where the server looks for %s depends on how it is started"
        % (name, path)
        for name, path in wanted["texts"].items()
        if not os.path.isabs(path)
    ]
    if refused:
        return refused, notes
    refused += _protocols(value) if wanted["tls"] else []
    argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, json.dumps(wanted)]
    try:
        found, texts = json.loads(clusters.run(clusters.as_owner(cluster, argv), deadline))
    except (clusters.ProgramFailed, ValueError) as error:
        return refused, [*notes, "files and addresses of the settings: %s" % error]
    encrypted = found.pop("encrypted", None)
    if encrypted and not value("ssl_passphrase_command"):
        refused.append("ssl_key_file: it is encrypted, and ssl_passphrase_command is not set")
    elif encrypted:
        notes.append("ssl_key_file: it is encrypted")
    refused += ["%s = %s: %s" % (name, value(name), why) for name, why in sorted(found.items())]
    if texts.get("hba_file") is not None:
        refused += [
            "hba_file = %s: %s" % (wanted["texts"]["hba_file"], fault)
            for fault in hba.faults(texts["hba_file"], cluster.version)
        ]
    return refused, notes


def requests(value, before, cluster):
    """Return (what ``_PROGRAM`` has to try, what cannot be checked). Pure.

    Args: see ``refusals``.
    """
    notes = []
    wanted = {
        "files": {},
        "texts": {},
        "directories": [],
        "tls": {},
        "addresses": [],
        "port": 0,
        "most": _MOST_BYTES,
    }

    def path(text):
        return os.path.join(cluster.data_directory, text)

    for name, default in _ACCESS.items():
        given = value(name) or os.path.join(os.path.dirname(cluster.config_file), default)
        if given != before(name):
            wanted["texts"][name] = given
    if values.boolean(value("ssl") or "off"):
        for name, default in TLS.items():
            given = value(name)
            given = default if given is None else given
            if given:
                wanted["files"][name] = wanted["tls"][name] = path(given)
        for name in _TLS_WORDS:
            wanted["tls"][name] = value(name)
    elif any(value(name) != before(name) for name in TLS):
        notes.append("the files of TLS: ssl is off, so that the server reads none of them")
    if values.boolean(value("logging_collector") or "off") and value("log_directory"):
        logs = path(value("log_directory"))
        # The server makes the last part of it.
        there = os.path.dirname(logs) if not os.path.isdir(logs) else logs
        wanted["directories"].append(("log_directory", there, True))
    for name in ("stats_temp_directory", "ssl_crl_dir"):
        if value(name) and value(name) != before(name):
            wanted["directories"].append((name, path(value(name)), name != "ssl_crl_dir"))
    sockets = value("unix_socket_directories")
    if sockets and sockets != before("unix_socket_directories"):
        for item in sockets.split(","):
            # An abstract socket is in no directory.
            if not item.strip().startswith("@"):
                wanted["directories"].append(("unix_socket_directories", path(item.strip()), True))
    port = value("port") or "5432"
    if any(value(name) != before(name) for name in _ENDPOINTS):
        listen = "localhost" if value("listen_addresses") is None else value("listen_addresses")
        wanted["addresses"] = [item.strip() for item in listen.split(",") if item.strip()]
        # The server itself holds the one that it has.
        now = values.number(before("port") or "0")
        wanted["port"] = 0 if values.number(port) == now else int(values.number(port))
    return wanted, notes


def _protocols(value):
    """Return that no version of TLS is left, if that is so. Pure."""
    least, most = ((value("ssl_%s_protocol_version" % end) or "").lower() for end in ("min", "max"))
    if least in _PROTOCOLS and most in _PROTOCOLS and least > most:
        return ["ssl_min_protocol_version %s is above ssl_max_protocol_version %s" % (least, most)]
    return []
