# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which data centre knows a client: queried with a made-up refresh token, which spends nothing."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.zoho_data_centres import DATA_CENTRES
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import Failed


def find_others(client, credentials, own, deadline):
    """Return (names of those that know the client, names of those without an answer).

    Args:
        client: a ``client.Client``.
        credentials: the ``Credentials``.
        own: the data centre that is configured, which is left out.
        deadline: those that are not queried by then are without an answer.
    """
    known, unknown = [], []
    for name, (accounts, _api) in DATA_CENTRES.items():
        if name == own:
            continue
        if deadline.remaining() < client.timeout:
            unknown.append(name)
            continue
        try:
            refusal = client.client_refusal("https://" + accounts, credentials)
        except Failed:
            unknown.append(name)
        else:
            if knows(refusal):
                known.append(name)
    return known, unknown


def knows(refusal):
    """Return whether an answer of ``client_refusal`` says that the client exists there (pure)."""
    return refusal is None or refusal.error_kind == "client_secret"


def advice(known, unknown):
    """Return the advice for what ``find_others`` returns, or None (pure)."""
    if known:
        return (
            "The client belongs to the data centre %s: set ZOHO_SDK_REGION and the URLs to it."
            % " or ".join(known)
        )
    if unknown:
        return None
    return (
        "No data centre knows the client: copy its id from Zoho's API console into the vault and"
        " .env."
    )
