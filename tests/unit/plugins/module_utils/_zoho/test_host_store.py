# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._zoho import host_store
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import Grant
from ansible_collections.sergas.ops.plugins.module_utils._zoho.store import StoreFailed


def make_store(directory, credentials="mine", budget=2, window=600):
    return host_store.HostStore(credentials, "refresh", budget, window, str(directory))


def test_one_process_of_a_host_at_a_time(tmp_path):
    first, second = make_store(tmp_path), make_store(tmp_path)
    assert first.acquire("a")
    assert second.acquire("b") is None
    first.release("a")
    assert second.acquire("b")
    second.release("b")


def test_the_budget_of_a_host_outlives_its_processes_and_a_window_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(host_store, "_now", lambda: 1_000_000)
    for _time in range(2):
        store = make_store(tmp_path)
        store.acquire("a")
        assert store.reserve("a", "m") == ("reserved", 1_000_000)
        store.release("a")
    store = make_store(tmp_path)
    store.acquire("a")
    assert store.reserve("a", "m") == ("exhausted", 600_000)
    monkeypatch.setattr(host_store, "_now", lambda: 1_600_000)
    assert store.reserve("a", "m")[0] == "reserved"
    store.release("a")


def test_a_host_keeps_refusals_of_its_credentials_and_no_secret(tmp_path):
    store = make_store(tmp_path)
    store.acquire("a")
    store.remember("a", "m", "refresh_token", "dead")
    store.release("a")
    assert make_store(tmp_path).read().failure["error_kind"] == "refresh_token"
    assert make_store(tmp_path, "others").read().failure == {}
    store.acquire("a")
    store.keep("a", 1, "m", 5, Grant("1000.secret.token", 3600, None, None))
    assert store.read().token == "1000.secret.token"
    assert make_store(tmp_path).read().token is None
    [file] = tmp_path.iterdir()
    assert "1000.secret" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_a_file_that_is_a_link_is_not_taken(tmp_path):
    store = make_store(tmp_path)
    target = tmp_path / "target"
    target.write_text("another's")
    (tmp_path / store._path.rpartition("/")[2]).symlink_to(target)
    with pytest.raises(StoreFailed):
        store.acquire("a")
    assert target.read_text() == "another's"


def test_a_file_that_is_a_second_name_of_another_is_not_taken(tmp_path):
    store = make_store(tmp_path)
    target = tmp_path / "passwd"
    target.write_text("root:x:0:0::/root:/bin/sh\n")
    os.link(str(target), str(tmp_path / store._path.rpartition("/")[2]))
    with pytest.raises(StoreFailed, match="another user"):
        store.acquire("a")
    assert target.read_text() == "root:x:0:0::/root:/bin/sh\n"


def test_a_file_that_was_cut_off_counts_as_empty(tmp_path):
    store = make_store(tmp_path)
    store.acquire("a")
    store.release("a")
    [file] = tmp_path.iterdir()
    file.write_text('{"spent": [1,')
    assert store.read().spent == []
