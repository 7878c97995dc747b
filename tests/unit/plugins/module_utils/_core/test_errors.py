# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every typed error of the packages is an OperationError, so that each module reports it."""

from __future__ import annotations

import importlib
import os
import pkgutil

import pytest

from ansible_collections.sergas.ops.plugins import module_utils
from ansible_collections.sergas.ops.plugins.module_utils._core import errors, files

#: Their files stand alone on a host, without the collection.
ALONE = {"_core.files", "_remediation.restore.program"}


def modules():
    prefix = module_utils.__name__ + "."
    return [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(module_utils.__path__, prefix)
    ]


def test_every_typed_error_has_the_one_base():
    wrong = [
        "%s.%s" % (module.__name__, name)
        for module in modules()
        if module.__name__.split("module_utils.")[1] not in ALONE
        for name, thing in vars(module).items()
        if isinstance(thing, type)
        and issubclass(thing, Exception)
        and thing.__module__ == module.__name__
        and not issubclass(thing, errors.OperationError)
    ]
    assert wrong == []


def test_a_refused_value_is_a_value_error_for_who_parses():
    with pytest.raises(ValueError, match="^port: 0 is none$"):
        raise errors.InvalidValue("port: 0 is none")


def test_what_the_system_refuses_names_the_file(tmp_path):
    with pytest.raises(errors.OperationError) as caught, errors.reported():
        open(tmp_path / "missing")
    assert str(caught.value) == "%s: No such file or directory" % (tmp_path / "missing")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_an_error_without_a_file_names_what_was_at_work():
    @errors.reported("/etc/fail2ban")
    def work():
        raise OSError(28, "No space left on device")

    with pytest.raises(errors.OperationError, match="^/etc/fail2ban: No space left on device$"):
        work()


def test_a_refused_file_keeps_its_own_words():
    with pytest.raises(errors.OperationError, match=r"^/x is a device, not a file$"):
        with errors.reported():
            raise files.FileRefused("/x", "it is a device, not a file")


@pytest.mark.parametrize(("euid", "hint"), [(0, None), (1000, "run with become")])
def test_only_who_is_not_root_is_to_become(monkeypatch, euid, hint):
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    with pytest.raises(errors.OperationError) as caught, errors.reported():
        raise PermissionError(13, "Permission denied", "/etc/ufw/user.rules")
    assert caught.value.hint == hint


def test_other_exceptions_pass():
    with pytest.raises(KeyError), errors.reported():
        raise KeyError("x")
