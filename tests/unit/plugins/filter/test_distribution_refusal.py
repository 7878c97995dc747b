# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.filter.distribution_refusal import distribution_refusal


def test_the_file_and_the_diagnosis_are_judged_alike():
    diagnosed = {"id": "rocky", "like": ["rhel"], "name": "Rocky Linux"}
    text = 'ID=rocky\nID_LIKE=rhel\nNAME="Rocky Linux"\n'
    refusal = distribution_refusal(diagnosed, ["debian"])
    assert "it runs Rocky Linux (rocky)" in refusal
    assert distribution_refusal(text, ["debian"]) == refusal
    assert distribution_refusal(text, ["rocky"]) == ""


@pytest.mark.parametrize("found, supported", [(None, []), ({}, []), ("ID=debian", "debian")])
def test_what_is_no_distribution_is_an_error(found, supported):
    with pytest.raises(AnsibleFilterError, match="distribution_refusal"):
        distribution_refusal(found, supported)
