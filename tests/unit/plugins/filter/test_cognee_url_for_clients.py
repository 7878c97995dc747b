# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.filter.cognee_url_for_clients import FilterModule

for_clients = FilterModule().filters()["cognee_url_for_clients"]


def test_an_address_of_loopback_becomes_that_of_the_host():
    assert for_clients("http://[::ffff:127.0.0.1]:8001", "192.0.2.9") == "http://192.0.2.9:8001"


@pytest.mark.parametrize(("url", "address"), [(None, "192.0.2.9"), ("http://c:1", "")])
def test_what_is_missing_is_refused(url, address):
    with pytest.raises(AnsibleFilterError):
        for_clients(url, address)
