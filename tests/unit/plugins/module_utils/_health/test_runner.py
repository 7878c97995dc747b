# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._health import runner
from ansible_collections.sergas.ops.plugins.module_utils._health.context import Context
from ansible_collections.sergas.ops.plugins.modules.sergas_health import ARGUMENT_SPEC


@pytest.mark.parametrize("host", ["localhost", "app.example.com", "app:8443", "[::1]:8000", None])
def test_a_name_that_the_app_may_be_called_by(host):
    runner.check_requests({"health_host": host})


@pytest.mark.parametrize("host", ["", "a b", "a\r\nX: y", "http://app", "app/x", "user@app"])
def test_a_name_that_is_none_is_refused(host):
    with pytest.raises(InvalidValue, match="health_host") as caught:
        runner.check_requests({"health_host": host})
    assert repr(host) in str(caught.value)


@pytest.mark.parametrize(
    "params",
    [
        {"latency_token": "hunter2\nX: y"},
        {"latency_headers": {"X-Key": "hunter2\r\nX: y"}},
        {"latency_headers": {"X Key": "hunter2"}},
    ],
)
def test_a_secret_that_cannot_be_sent_is_refused_without_it(params):
    with pytest.raises(InvalidValue, match=next(iter(params))) as caught:
        runner.check_requests(params)
    assert "hunter2" not in str(caught.value)


def test_what_the_app_is_requested_with_is_masked_wherever_it_appears(tmp_path):
    params = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
    params.update(service="no-such-unit", env_file=str(tmp_path / ".env"), app_dir=str(tmp_path))
    params.update(latency_token="a-token-of-options", latency_headers={"X-Key": 1234567})
    context = Context(params, Deadline(5))
    assert {"a-token-of-options", "1234567"} <= set(context.secrets())
    assert context.endpoint.own is False and context.port == 8000


def test_the_database_of_the_app_has_the_servers_own_port(tmp_path):
    (tmp_path / ".env").write_text(
        "DATABASE_HOST=127.0.0.1\nDATABASE_PORT=6432\nDATABASE_NAME=crm\n"
    )
    params = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
    params.update(service="no-such-unit", env_file=str(tmp_path / ".env"), app_dir=str(tmp_path))
    context = Context(params, Deadline(5))
    # Behind a pooler, the port in the settings is that of the pooler.
    assert context.app({"server_port": 5433})["database"] == {
        "host": "127.0.0.1",
        "port": 5433,
        "name": "crm",
    }
    assert context.app()["database"]["port"] is None
