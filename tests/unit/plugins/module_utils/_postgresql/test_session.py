# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import yaml

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import pgwire
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import session

COLLECTION = Path(__file__).parents[5]


def test_a_reading_session_is_bounded_and_read_only():
    settings = session.session_settings(Deadline(10, clock=lambda: 0.0))
    assert settings["default_transaction_read_only"] == "on"
    assert settings["statement_timeout"] == "9000"
    assert settings["lock_timeout"] == "2000"
    assert settings["search_path"] == "pg_catalog"


def test_an_acting_session_may_write_and_has_its_own_bounds():
    settings = session.session_settings(
        Deadline(100, clock=lambda: 0.0), acting=True, statement_timeout=30, lock_timeout=0.5
    )
    assert "default_transaction_read_only" not in settings
    assert (settings["statement_timeout"], settings["lock_timeout"]) == ("30000", "500")


def test_the_fragment_documents_the_options():
    fragment = {}
    exec((COLLECTION / "plugins/doc_fragments/postgresql.py").read_text(), fragment)  # noqa: S102 - our own file
    options = yaml.safe_load(fragment["ModuleDocFragment"].DOCUMENTATION)["options"]
    assert set(options) == set(session.CONNECTION)
    for name, spec in session.CONNECTION.items():
        for key in ("type", "default", "choices"):
            assert options[name].get(key) == spec.get(key), (name, key)


def test_the_modes_of_tls_are_those_of_the_driver():
    assert tuple(session.CONNECTION["ssl_mode"]["choices"]) == pgwire.TLS_MODES
