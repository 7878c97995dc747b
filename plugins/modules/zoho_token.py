#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zoho_token
short_description: Ensure an access token of Zoho that a whole fleet shares
version_added: 1.0.0
description:
  - Zoho issues ten access tokens per refresh token in ten minutes and keeps fifteen alive; the
    sixteenth silently kills the oldest.
    A fleet in which every host refreshes locks itself out and kills tokens that are in use.
  - With O(state=valid), the token in Redis is used if it has at least O(min_ttl) seconds left, was
    issued for these credentials, and the API accepts it.
    Else one host requests a new one while the others wait for it, however many there are.
  - A host that dies while it refreshes holds up the others for O(timeout) and five seconds at most.
    One that was suspended for longer can neither
    replace a newer token nor spend one.
  - What Zoho refuses to one host is not requested again by the others.
  - The requests are counted in Redis across hosts and runs, by Redis's own clock. When O(budget) of
    them were made within O(budget_window) seconds,
    no host makes another one.
  - Nothing secret is returned, logged, or in a URL or on a command line.
options:
  state:
    description:
      - V(valid) ensures a token with at least O(min_ttl) seconds left.
      - V(refreshed) ensures one that was issued within O(max_age) seconds, whatever is cached.
        It is still one refresh for the fleet.
      - V(observed) reads only. It returns what is cached, for how long, and how much of the budget
        is left, and never fails.
      - V(absent) removes the cached tokens, C(access_token) and C(refresh_token) with
        O(redis_prefix).
    type: str
    choices: [valid, refreshed, observed, absent]
    default: valid
  min_ttl:
    description:
      - How many seconds the token must live at least. Zoho's live for 3600.
      - One that the app itself cached in Redis counts as living for as long as it stays there.
    type: int
    default: 300
  max_age:
    description:
      - With O(state=refreshed), how many seconds ago the token may have been issued, so that hosts
        that come one after the other share one.
    type: int
    default: 120
  verify:
    description:
      - Whether to check with the API that it accepts the token
        (C(GET /crm/v8/users?type=CurrentUser)).
      - With O(state=observed) and no token that it accepts, the accounts server is sent a
        request that shows whether it knows the client and its secret, with a made-up refresh token,
        which spends nothing.
      - One answer holds for a minute and for all hosts, except with O(state=observed).
      - If not given, V(true) with O(state=valid) and O(state=refreshed), else V(false).
    type: bool
  find_data_centre:
    description:
      - Whether to query the other data centres for the client if the configured one does not know
        it, and name the right one.
      - These requests have a made-up refresh token, which spends nothing. They do have the client's
        id and secret.
      - With O(state=observed), the configured one is checked first.
    type: bool
    default: false
  on_throttle:
    description:
      - What to do while no token may be requested. V(fail) says when one may; V(wait) waits until
        then if O(deadline) leaves the time.
    type: str
    choices: [fail, wait]
    default: fail
  on_redis_failure:
    description:
      - What to do if Redis cannot be used.
      - V(fail) requests no token, as each host would.
      - V(proceed) goes on for this host alone. Use it on one host only.
    type: str
    choices: [fail, proceed]
    default: fail
  revoke:
    description:
      - With O(state=absent), which token is revoked at Zoho, too.
      - A revoked refresh token is dead for good. Each app that uses it needs a new one.
    type: str
    choices: [none, access_token, refresh_token]
    default: none
  return_token:
    description:
      - Whether to return the token in RV(access_token). The task must then have C(no_log=true), and
        fails before anything else if it has not.
    type: bool
    default: false
  client_id:
    description:
      - The id of the client. With O(client_secret) and O(refresh_token), it replaces all that the
        app's C(.env) says of credentials.
    type: str
  client_secret:
    description:
      - The secret of O(client_id).
    type: str
  refresh_token:
    description:
      - The refresh token that was made with O(client_id).
    type: str
  credentials:
    description:
      - Which credentials of the app's C(.env) to use. Those of different clients are never mixed.
      - V(sdk) is C(ZOHO_SDK_CLIENT_ID), C(ZOHO_SDK_CLIENT_SECRET) and C(ZOHO_SDK_REFRESH_TOKEN).
      - V(mcp) is C(ZOHO_MCP_CLIENT_ID), C(ZOHO_MCP_CLIENT_SECRET), and C(ZOHO_MCP_REFRESH_TOKEN) or
        else C(ZOHO_SDK_REFRESH_TOKEN).
      - V(auto) is V(sdk) if one of its two is set, else V(mcp).
    type: str
    choices: [auto, sdk, mcp]
    default: auto
  data_centre:
    description:
      - The data centre of the account. If not given, C(ZOHO_ACCOUNTS_URL) and C(ZOHO_SDK_REGION) of
        the app's C(.env), else V(us).
    type: str
    choices: [us, eu, in, au, jp, cn, ca, sa, uk]
  accounts_url:
    description:
      - The URL of the accounts server, if it is not that of O(data_centre). Without TLS, it must be
        this host itself.
    type: str
  api_url:
    description:
      - The URL of the API, if it is not that of O(data_centre). If not given, C(ZOHO_API_URL) of
        the app's C(.env).
    type: str
  ca_path:
    description:
      - A file with the authorities to trust for Zoho's certificates, for a proxy that opens TLS.
    type: path
  env_file:
    description:
      - The app's configuration. If not given, that of O(service), else C(.env) in O(app_dir).
    type: path
  app_dir:
    description:
      - The app's directory. If not given, the working directory of O(service), else
        C(/home/sergas/super-account-manager).
    type: path
  service:
    description:
      - The app's systemd unit.
    type: str
    default: sergas-app
  redis_host:
    description:
      - The Redis that the fleet shares. If not given, C(REDIS_URL) or C(REDIS_HOST) of the app's
        C(.env).
      - One that begins with C(/) is a Unix socket.
      - C(REDIS_URL) may be C(redis://), C(rediss://), C(unix://), or
        C(redis+sentinel://user:password@host:port,host:port/service/database). C(rediss+sentinel)
        uses TLS to the Sentinels and to Redis. The options C(sentinel_username) and
        C(sentinel_password) of that URL are for the Sentinels, which need redis-py on the host.
    type: str
  redis_port:
    description:
      - The port of O(redis_host).
    type: int
  redis_user:
    description:
      - The user to log in to Redis as.
    type: str
  redis_password:
    description:
      - The password for Redis.
    type: str
  redis_db:
    description:
      - The number of the database. If not given, that of C(REDIS_URL) or C(REDIS_DB) of the app's
        C(.env), else 0.
    type: int
  redis_tls:
    description:
      - Whether to use TLS to Redis. If not given, as the app's C(.env) says.
    type: bool
  redis_ca_path:
    description:
      - A file with the authorities to trust for Redis's certificate.
    type: path
  redis_prefix:
    description:
      - What the names of the keys begin with. The app's own are C(zoho:access_token) and
        C(zoho:refresh_token).
    type: str
    default: "zoho:"
  budget:
    description:
      - How many tokens may be requested within O(budget_window). A failed request counts, too. The
        requests of the app itself are not counted.
    type: int
    default: 10
  budget_window:
    description:
      - The length of Zoho's window, in seconds.
    type: int
    default: 600
  timeout:
    description:
      - How long a request to Zoho may take as a whole, in seconds.
    type: int
    default: 10
  deadline:
    description:
      - How long the module may take, in seconds. To outlive a host that died while it refreshed, it
        must be more than twice O(timeout) and five seconds.
    type: int
    default: 60
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
    details: No token is requested and nothing is written. A request may check that the API accepts
      the cached token.
  diff_mode:
    support: full
    details: Tokens are shown by the first digits of their SHA-256 hash.
  platform:
    platforms: posix
notes:
  - It needs no Python library beyond the standard one. Where redis-py (C(python3-redis)) is on the
    host, Redis is reached by it.
  - Redis 5 or newer, not as a cluster. The user needs C(EVAL), C(TIME) and the commands on the
    keys with O(redis_prefix).
  - A Redis that loses its data loses the count of the requests.
  - Without Redis, the module works for one host. One process refreshes at a time, and it keeps to
    the budget there, both in a file without secrets,
    but the token is not kept, so each run requests one. O(return_token) is then the way to get
      it.
  - HTTP proxies are taken from the environment (C(HTTPS_PROXY), C(ALL_PROXY), C(NO_PROXY)).
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Ensure a token that lives for ten minutes at least
  sergas.ops.zoho_token:
    min_ttl: 600

- name: Check what is cached, and whether the API accepts it
  sergas.ops.zoho_token:
    state: observed
    verify: true
  register: zoho

- name: Get a new one, whatever is cached, with credentials from the vault
  sergas.ops.zoho_token:
    state: refreshed
    client_id: "{{ vault_zoho_client_id }}"
    client_secret: "{{ vault_zoho_client_secret }}"
    refresh_token: "{{ vault_zoho_refresh_token }}"
    data_centre: eu

- name: Find the data centre that the client belongs to
  sergas.ops.zoho_token:
    state: observed
    find_data_centre: true

- name: Discard the cached tokens after new credentials were written to .env
  sergas.ops.zoho_token:
    state: absent
"""

RETURN = r"""
token:
  description: The token, without itself; null if there is none.
  returned: success
  type: dict
  contains:
    fingerprint:
      description: The first 16 digits of its SHA-256 hash, to compare hosts by.
      type: str
      sample: 1f3870be274f6c49
    source:
      description: Whether it was in the cache, or this run requested it (C(refresh)).
      type: str
      sample: cache
    issuer:
      description: The host that requested it; null if it was not this module.
      type: str
      sample: app-1
    seconds_left:
      description: How long it lives at least; null if that is unknown.
      type: int
      sample: 3312
    verified:
      description:
        - What the API says of it, which is one of alive, dead, scope, permission, not_arrived,
          rate_limited, unknown.
        - Null if it was not checked.
      type: str
      sample: alive
    api_credits_left:
      description: The credits of the API that are left today.
      returned: if the API says so, which it does once half of them are used
      type: int
      sample: 2100
reason:
  description: Why the cached token was used or not.
  returned: O(state=valid), O(state=refreshed) or O(state=absent)
  type: str
  sample: the cached token has 3312 s left
refreshes:
  description: How many tokens this run requested and got.
  returned: always
  type: int
  sample: 0
budget:
  description: The requests for tokens that this collection made with this refresh token; null if
    that is not known.
  returned: always
  type: dict
  contains:
    limit:
      description: How many are allowed.
      type: int
      sample: 10
    window:
      description: Within how many seconds.
      type: int
      sample: 600
    used:
      description: How many were made.
      type: int
      sample: 1
    left:
      description: How many may still be made.
      type: int
      sample: 9
    retry_after:
      description: In how many seconds the next one may be made; 0 for now.
      type: int
      sample: 0
data_centre:
  description: The data centre; null for a server that is not Zoho's.
  returned: always
  type: str
  sample: eu
accounts_url:
  description: The URL of the accounts server; null if the configuration gives none.
  returned: always
  type: str
  sample: https://accounts.zoho.eu
api_url:
  description: The URL of the API; null if the configuration gives none.
  returned: always
  type: str
  sample: https://www.zohoapis.eu
credentials:
  description: Where the credentials are from, which is options, sdk or mcp; null if there are
    none to use.
  returned: always
  type: str
  sample: sdk
variables:
  description: The variables of the app's C(.env) that the id, the secret and the refresh token are
    in, or belong in.
  returned: always
  type: list
  elements: str
  sample: [ZOHO_SDK_CLIENT_ID, ZOHO_SDK_CLIENT_SECRET, ZOHO_SDK_REFRESH_TOKEN]
coordination:
  description: Whether the fleet shares the token (C(redis)), or this host is alone (C(host)); null
    if it came to neither.
  returned: always
  type: str
  sample: redis
driver:
  description: By which client Redis was reached, which is redis-py or resp, the built-in one; null
    without Redis.
  returned: always
  type: str
  sample: redis-py
client_data_centres:
  description: The data centres that know the client.
  returned: O(find_data_centre=true) and they were queried
  type: list
  elements: str
  sample: [eu]
unchecked_data_centres:
  description: The data centres that did not answer, or not in time.
  returned: O(find_data_centre=true) and they were queried
  type: list
  elements: str
  sample: []
retry_after:
  description: In how many seconds a token may be requested again, at the latest.
  returned: if none may be requested now
  type: int
  sample: 412
revoked:
  description: Whether a token was revoked; null if none was to be.
  returned: O(state=absent)
  type: bool
  sample: false
access_token:
  description: The token itself.
  returned: O(return_token=true) and there is one
  type: str
findings:
  description:
    - "The findings, with the keys of M(sergas.ops.sergas_health): C(zoho.token.ok),
      C(zoho.token.invalid), C(zoho.token.scope),
      C(zoho.token.unknown), C(zoho.token.skipped), C(zoho.cache.stale), C(zoho.rate_limited)."
    - C(evidence.error_kind) distinguishes the reasons, and C(advice) says what to do.
    - C(evidence.target) is the server that answered, or the Redis that has a dead or an old value,
      and C(evidence.account) is a digest of the credentials.
    - "Of the token: C(refresh_token), C(client), C(client_secret), C(credentials), C(mixed),
      C(placeholder), C(region), C(url), C(plaintext),
      C(dead), C(scope), C(permission), C(throttled), C(rate_limited)."
    - "Of the way to Zoho: C(dns), C(refused), C(unreachable), C(timeout), C(hung), C(closed),
      C(tls), C(proxy), C(page), C(garbage), C(redirect),
      C(server), C(refusal), C(not_arrived); and C(store), C(driver) or C(busy) of Redis and its
      lock."
  returned: always
  type: list
  elements: dict
roots:
  description: The ids of the bad findings that derive from no other one.
  returned: always
  type: list
  elements: str
  sample: [zoho.token.invalid]
bad:
  description: How many findings are C(warn), C(unknown) or C(fail).
  returned: always
  type: int
  sample: 0
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._core.zoho_data_centres import DATA_CENTRES
from ansible_collections.sergas.ops.plugins.module_utils._zoho import (
    configuration,
    credentials,
    token,
)


def main():
    module = Module(
        ranges=configuration.RANGES,
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["valid", "refreshed", "observed", "absent"],
                "default": "valid",
            },
            "min_ttl": {"type": "int", "default": 300},
            "max_age": {"type": "int", "default": 120},
            "verify": {"type": "bool"},
            "find_data_centre": {"type": "bool", "default": False},
            "on_throttle": {"type": "str", "choices": ["fail", "wait"], "default": "fail"},
            "on_redis_failure": {"type": "str", "choices": ["fail", "proceed"], "default": "fail"},
            "revoke": {
                "type": "str",
                "choices": ["none", "access_token", "refresh_token"],
                "default": "none",
            },
            # It says whether to return one, and is none itself.
            "return_token": {"type": "bool", "default": False, "no_log": False},
            "client_id": {"type": "str"},
            "client_secret": {"type": "str", "no_log": True},
            "refresh_token": {"type": "str", "no_log": True},
            "credentials": {
                "type": "str",
                "choices": list(credentials.PAIRS),
                "default": "auto",
            },
            "data_centre": {"type": "str", "choices": list(DATA_CENTRES)},
            "accounts_url": {"type": "str"},
            "api_url": {"type": "str"},
            "ca_path": {"type": "path"},
            "env_file": {"type": "path"},
            "app_dir": {"type": "path"},
            "service": {"type": "str", "default": "sergas-app"},
            "redis_host": {"type": "str"},
            "redis_port": {"type": "int"},
            "redis_user": {"type": "str"},
            "redis_password": {"type": "str", "no_log": True},
            "redis_db": {"type": "int"},
            "redis_tls": {"type": "bool"},
            "redis_ca_path": {"type": "path"},
            "redis_prefix": {"type": "str", "default": "zoho:"},
            "budget": {"type": "int", "default": 10},
            "budget_window": {"type": "int", "default": 600},
            "timeout": {"type": "int", "default": 10},
            "deadline": {"type": "int", "default": 60},
        },
        required_together=[("client_id", "client_secret", "refresh_token")],
        mutually_exclusive=[("data_centre", "accounts_url")],
        supports_check_mode=True,
    )
    runner.run(
        module,
        token.run,
        Deadline(module.params["deadline"]),
        module.check_mode,
        module.no_log_values.add,
        module.no_log,
    )


if __name__ == "__main__":
    main()
