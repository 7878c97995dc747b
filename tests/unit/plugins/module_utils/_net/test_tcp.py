# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

SECONDS = 30


def test_each_address_of_a_name_gets_its_share_of_the_time(monkeypatch):
    """One that swallows packets leaves time for those after it."""
    addresses = [(None, None, None, None, (name, 80)) for name in ("first", "second", "third")]
    shares = {}

    def silent(_family, target, _peer, deadline, _phases):
        shares[target[0]] = deadline.remaining()
        raise ConnectionFailed("timeout", "connect", "%s does not answer" % target[0])

    monkeypatch.setattr(tcp, "resolve", lambda *_options: addresses)
    monkeypatch.setattr(tcp, "_open", silent)
    with pytest.raises(ConnectionFailed, match="third"):
        tcp.connect("three.example", 80, Deadline(SECONDS))
    # No time has passed here, so the last one has all of it.
    assert shares["first"] <= SECONDS / 3
    assert SECONDS / 3 < shares["second"] <= SECONDS / 2
    assert SECONDS / 2 < shares["third"] <= SECONDS
