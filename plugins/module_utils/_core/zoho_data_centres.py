# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Zoho's data centres, for all who must know where an account is. Imports next to nothing."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

#: name: (host of the accounts server, host of the API); Zoho's documentation of its multi-DC
#: support
DATA_CENTRES = {
    "us": ("accounts.zoho.com", "www.zohoapis.com"),
    "eu": ("accounts.zoho.eu", "www.zohoapis.eu"),
    "in": ("accounts.zoho.in", "www.zohoapis.in"),
    "au": ("accounts.zoho.com.au", "www.zohoapis.com.au"),
    "jp": ("accounts.zoho.jp", "www.zohoapis.jp"),
    "cn": ("accounts.zoho.com.cn", "www.zohoapis.com.cn"),
    "ca": ("accounts.zohocloud.ca", "www.zohoapis.ca"),
    "sa": ("accounts.zoho.sa", "www.zohoapis.sa"),
    "uk": ("accounts.zoho.uk", "www.zohoapis.uk"),
}
_ALIASES = {"com": "us", "com.au": "au", "com.cn": "cn", "cloud.ca": "ca"}


def region_name(text: str) -> Optional[str]:
    """Return the key of DATA_CENTRES for a region as people write it, or None for none of them."""
    name = re.sub(r"^(?:https?://)?(?:accounts\.)?(?:zoho\.?)?", "", text.strip().lower())
    name = name.strip("/.")
    name = _ALIASES.get(name, name)
    return name if name in DATA_CENTRES else None
