# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.filter.values_of_remedies import values_of_remedies

VALUES = {"DATABASE_PASSWORD": "new", "DATABASE_NAME": "", "REDIS_PASSWORD": "r", "OTHER": 1}


def bad(id):
    return {"id": id, "status": "fail"}


def test_what_the_remedies_of_the_findings_would_set():
    assert values_of_remedies(VALUES, [bad("db.auth.failed"), bad("app.oom.killed")]) == {
        "database_credentials": {"DATABASE_PASSWORD": "new"}
    }
    given = {"zoho": ["id", "secret", ""], "cognee_key": "key"}
    found = values_of_remedies({}, [bad("zoho.token.invalid"), bad("cognee.auth")], **given)
    assert found == {
        "zoho_credentials": {"ZOHO_SDK_CLIENT_ID": "id", "ZOHO_SDK_CLIENT_SECRET": "secret"},
        "renew_cognee_key": {"COGNEE_API_KEY": "key"},
    }


def test_what_has_no_value_or_no_finding_is_left_out():
    assert values_of_remedies({}, [bad("db.auth.failed"), bad("zoho.token.invalid")]) == {}
    assert values_of_remedies(VALUES, [{"id": "redis.auth.failed", "status": "ok"}]) == {}
