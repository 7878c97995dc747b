#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cognee_check
short_description: Check whether Cognee answers, is Cognee, is ready, and accepts the app's key
version_added: 1.0.0
description:
  - Checks the server that the app uses, whether it is ready and how fast it says so, whether it
    accepts the key, and whether it has a route for queries.
  - Cognee is distinguished from cognee-mcp, from a proxy's redirect and from any other service on
    its port. The key is sent only to a server that has shown to be Cognee.
  - On Cognee's own host, it inspects the container (Docker or podman), the process that listens on
    the port, and whether the firewall allows O(clients).
  - "It knows the routes of real servers (C(POST /api/v1/search), C(X-Api-Key)) and those of the
    guide (C(POST /api/v1/query), C(Authorization: Bearer)), and returns which one it was."
  - It changes nothing, and with O(query=route) leaves no trace in Cognee's history.
  - A problem is a finding, not a failed task.
options:
  view:
    description:
      - V(full) checks everything.
      - V(reach) only checks whether this host reaches Cognee, without a key. It is for the other
        hosts; the filter P(sergas.ops.cognee_views#filter) combines both.
    type: str
    choices: [full, reach]
    default: full
  url:
    description:
      - The URL of Cognee. If not given, C(COGNEE_BASE_URL), C(COGNEE_API_URL), C(COGNEE_URL), or
        C(COGNEE_HOST) and C(COGNEE_PORT) of the app's C(.env), else the port that the container on
        this host publishes, else C(http://127.0.0.1:8001).
    type: str
  api_key:
    description:
      - The key. If not given, C(COGNEE_API_KEY) of the app's C(.env).
    type: str
  query:
    description:
      - V(route) sends a query without a text, which the server refuses as incomplete. This
        verifies the route and the key.
      - V(search) searches for C(sergas.ops cognee_check). It is a complete search, and stays
        in the history of the key's owner.
      - V(none) sends none.
    type: str
    choices: [route, search, none]
    default: route
  components:
    description:
      - Whether to request the state of the components. With a key, the server calls the language
        model for that, which is billed.
    type: bool
    default: false
  clients:
    description:
      - The addresses of the hosts that must reach Cognee, to check whether this host's firewall
        allows them.
    type: list
    elements: str
    default: []
  engine:
    description:
      - The engine that runs the container. V(auto) inspects those that exist, V(none) none.
    type: str
    choices: [auto, docker, podman, none]
    default: auto
  container:
    description:
      - The name of the container. If not given, the one whose name or image is C(cognee); of
        several, the one that publishes the port.
    type: str
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
  ca_path:
    description:
      - A file with the authorities to trust for Cognee's certificate.
    type: path
  thresholds:
    description:
      - "Replaces default thresholds. A dictionary of names, each with V(warn), V(fail) or both."
      - "The names and their defaults (warn, fail): V(health_seconds) 2, 5; V(restarts) 3, 10."
    type: dict
    default: {}
  timeout:
    description:
      - How long one answer may take, in seconds. An unhealthy server can take 40 s; one that runs
        and does not answer in time is C(cognee.slow), not down.
    type: float
    default: 5
  deadline:
    description:
      - How long the module may take, in seconds.
    type: float
    default: 30
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  platform:
    platforms: posix
notes:
  - It needs no library on the host. For the container, it needs the command of the engine and, for
    most, root.
seealso:
  - module: sergas.ops.sergas_health
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Check Cognee as the app on this host uses it
  sergas.ops.cognee_check:
  become: true
  register: cognee

- name: Make a real search, and request the components
  sergas.ops.cognee_check:
    url: http://cognee.example.com:8001
    api_key: "{{ vault_cognee_key }}"
    query: search
    components: true

- name: Check whether a host of the app reaches it
  sergas.ops.cognee_check:
    view: reach
    url: http://cognee.example.com:8001
  delegate_to: app1
  register: from_app
"""

RETURN = r"""
target:
  description: The server, as host:port; null if the URL is invalid.
  returned: always
  type: str
  sample: 127.0.0.1:8001
url:
  description: The URL in front of all routes.
  returned: always
  type: str
  sample: http://127.0.0.1:8001
reachable:
  description: Whether anything answered.
  returned: always
  type: bool
  sample: true
error_kind:
  description:
    - Why nothing answered, which is one of dns, refused, unreachable, denied, timeout, hung,
      closed, tls, protocol, redirect, url; null if something did.
  returned: always
  type: str
  sample: refused
identity:
  description: The service that answered, which is one of cognee, cognee-mcp, redirect, other,
    failing, silent.
  returned: always
  type: str
  sample: cognee
uses_own:
  description: Whether the app of this host uses a Cognee that only this host reaches, whatever
    O(url) is.
  returned: O(view=reach)
  type: bool
  sample: false
here:
  description: Whether the service is on this host.
  returned: O(view=full)
  type: bool
  sample: true
state:
  description: Of Cognee, which is one of ready, unhealthy, failing, slow, unknown; null for what is
    not Cognee.
  returned: O(view=full)
  type: str
  sample: ready
ready:
  description: Whether Cognee is ready.
  returned: O(view=full)
  type: bool
  sample: true
version:
  description: The version that Cognee states; null before 1.0.
  returned: O(view=full)
  type: str
  sample: 1.6.5
key:
  description:
    - How the key was accepted (C(X-Api-Key), C(Bearer)), else unchecked, refused, missing or
      unknown; null if it was not tried.
  returned: O(view=full)
  type: str
  sample: X-Api-Key
query:
  description: The route that answered a query and its result; null if none was made.
  returned: O(view=full)
  type: dict
  contains:
    path:
      description: The route; null if there is none.
      type: str
      sample: /api/v1/search
    state:
      description: One of answered, no data, route, refused, no route, failing, slow.
      type: str
      sample: route
container:
  description: The container on this host; null if there is none.
  returned: O(view=full)
  type: dict
  sample:
    engine: docker
    name: cognee
    state: running
    health: healthy
    restarts: 0
    oom_killed: false
listeners:
  description: The process that listens on the port; null if the service is not on this host.
  returned: O(view=full)
  type: dict
  contains:
    addresses:
      description: The addresses.
      type: list
      elements: str
      sample: [0.0.0.0]
    holder:
      description: The process, its user, command and unit; null if it is not visible.
      type: dict
port:
  description: The port.
  returned: O(view=full)
  type: int
  sample: 8001
guard:
  description: What decides on this host who reaches the port, which is ufw, engine (published past
    ufw) or null.
  returned: O(view=full)
  type: str
  sample: ufw
access:
  description: Whether the firewall of this host allows each of O(clients).
  returned: O(view=full)
  type: list
  elements: dict
  sample:
    - client: 192.0.2.10
      allowed: false
      by: the default policy DROP
exposed:
  description: Whether the engine allows any client to the port, past a firewall that does not.
  returned: O(view=full)
  type: bool
  sample: false
findings:
  description:
    - "The findings, with the keys of M(sergas.ops.sergas_health): C(cognee.ok),
      C(cognee.down), C(cognee.wrong_service), C(cognee.auth), C(cognee.blocked), C(cognee.slow),
      C(cognee.query), C(cognee.open), C(cognee.exposed), C(cognee.container),
      C(cognee.components), C(cognee.unknown)."
    - C(evidence.error_kind) distinguishes the reasons, and C(advice) says what to do.
      C(evidence.target) is the server.
    - "Of C(cognee.down): C(stopped), C(exited), C(oom), C(paused), C(unhealthy), C(error), and the
      words of RV(error_kind)."
  returned: always
  type: list
  elements: dict
roots:
  description: The ids of the bad findings that derive from no other one.
  returned: always
  type: list
  elements: str
  sample: [cognee.down]
bad:
  description: How many findings are C(warn), C(unknown) or C(fail).
  returned: always
  type: int
  sample: 0
"""

from ansible_collections.sergas.ops.plugins.module_utils._cognee import check
from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module


def main():
    module = Module(
        ranges=check.RANGES,
        argument_spec={
            "view": {"type": "str", "choices": ["full", "reach"], "default": "full"},
            "url": {"type": "str"},
            "api_key": {"type": "str", "no_log": True},
            "query": {"type": "str", "choices": ["route", "search", "none"], "default": "route"},
            "components": {"type": "bool", "default": False},
            "clients": {"type": "list", "elements": "str", "default": []},
            "engine": {
                "type": "str",
                "choices": ["auto", "docker", "podman", "none"],
                "default": "auto",
            },
            "container": {"type": "str"},
            "env_file": {"type": "path"},
            "app_dir": {"type": "path"},
            "service": {"type": "str", "default": "sergas-app"},
            "ca_path": {"type": "path"},
            "thresholds": {"type": "dict", "default": {}},
            "timeout": {"type": "float", "default": 5},
            "deadline": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    runner.run(module, check.run, Deadline(module.params["deadline"]))


if __name__ == "__main__":
    main()
