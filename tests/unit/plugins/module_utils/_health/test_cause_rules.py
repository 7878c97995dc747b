# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One fault gives one root, two faults give two: with the findings that hosts of the fleet gave."""

from __future__ import annotations

import copy
import itertools

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import causes
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, roots
from ansible_collections.sergas.ops.plugins.module_utils._health import cause_rules

COMPONENTS = {"db": "database", "lb": "loadbalancer"}


def bad(id, status="fail", **evidence):
    component = id.partition(".")[0]
    return finding(id, COMPONENTS.get(component, component), status, "as seen", evidence=evidence)


def down(*reasons, **more):
    """What an app that does not start looks like."""
    return [
        bad("app.service.down", reasons=list(reasons), stopped=False, loop=True),
        bad("app.port.closed", port=8000),
        bad("api.health.unreachable", kind="refused"),
        bad("api.latency.unknown", "unknown"),
        *([bad("app.exceptions", "warn", kinds=dict.fromkeys(reasons, 3))] if reasons else []),
    ]


TARGET = "127.0.0.1:5432"
#: fault: (root, its findings)
FAULTS = {
    "port in use": (
        "app.port.conflict",
        [
            bad("app.port.conflict", pid=4711),
            bad("app.service.down", reasons=["port"], stopped=False),
            bad("api.health.failing", statuses=[404]),
            bad("lb.blocked", listening=["127.0.0.1"]),
            bad("app.errors.rate", "warn", kinds={"port": 12}),
        ],
    ),
    "missing variable": (
        "app.env.missing",
        [
            bad("app.env.missing", variables=["DATABASE_NAME: it is not set"]),
            bad("db.connection.unknown", "unknown", unset=["DATABASE_NAME"]),
            *down("environment"),
        ],
    ),
    "invalid variable": (
        "app.env.invalid",
        [
            bad("app.env.invalid", variables=["ENABLE_CACHE (line 4: it is no switch)"]),
            *down("environment"),
        ],
    ),
    ".env that its user may not read": (
        "app.env.unreadable",
        [bad("app.env.unreadable", user="sergas"), *down("environment")],
    ),
    "restart that waits": (
        "app.restart.pending",
        [
            bad("app.restart.pending", "warn", variables=["DATABASE_PASSWORD", "REQUIRE_MFA"]),
            bad("security.mfa.off", "warn"),
        ],
    ),
    "variable read in two ways": (
        "app.env.ambiguous",
        [bad("app.env.ambiguous", "warn"), *down("environment")],
    ),
    "database stopped": (
        "db.unreachable",
        [
            bad("db.unreachable", target=TARGET, error_kind="refused"),
            bad("app.errors.rate", "warn", kinds={"other": 12}),
            *down("database.unreachable"),
        ],
    ),
    "database stopped under the app": (
        "db.unreachable",
        [
            bad("db.unreachable", target=TARGET, error_kind="refused"),
            bad(
                "api.health.degraded",
                dependencies={"database": "disconnected", "redis": "connected"},
            ),
            bad("app.errors.rate", kinds={"database.unreachable": 20, "other": 20}),
        ],
    ),
    "database password": (
        "db.auth.failed",
        [bad("db.auth.failed", target=TARGET, error_kind="password"), *down("database.auth")],
    ),
    "database missing": (
        "db.missing",
        [bad("db.missing", target=TARGET, error_kind="database"), *down("database.missing")],
    ),
    "import error": ("app.import.error", [bad("app.import.error", modules=[]), *down("import")]),
    "out of memory": (
        "app.oom.killed",
        [bad("app.oom.killed", scope="unit"), bad("app.service.restarting", "warn")],
    ),
    "open files": (
        "app.files.exhausted",
        [
            bad("app.files.exhausted"),
            bad("app.exceptions", kinds={"files": 700}),
            bad("api.health.unreachable", kind="timeout"),
            bad("api.latency.high"),
        ],
    ),
    "pool arithmetic": (
        "app.pool.exhausted",
        [bad("app.pool.exhausted")],
    ),
    "exceptions": (
        "app.exceptions",
        [
            bad("app.exceptions", kinds={"other": 12}),
            bad("app.errors.rate", "warn", kinds={"other": 24}),
        ],
    ),
    "slow database": (
        "app.errors.rate",
        [bad("app.errors.rate", "warn", kinds={"database.timeout": 15, "other": 15})],
    ),
    "failing API": ("app.errors.rate", [bad("app.errors.rate", "warn", kinds={"zoho": 30})]),
    "latency": ("api.latency.high", [bad("api.latency.high", "warn", slow_phase="first_byte")]),
    "memory": (
        "host.memory.high",
        [bad("host.memory.high"), bad("host.swap.high", "warn"), bad("host.iowait.high", "warn")],
    ),
    "brute force": ("security.bruteforce", [bad("security.bruteforce")]),
    "balancer blocked": ("lb.blocked", [bad("lb.blocked", blocked=["192.0.2.2: rule 1"])]),
    "health endpoint": (
        "api.health.failing",
        [
            bad("api.health.failing", statuses=[404, 404, 404]),
            bad("lb.health.failing", target="app1:8000"),
        ],
    ),
    "slow start": ("lb.health.failing", [bad("lb.health.failing", "warn")]),
    "starting for ever": (
        "app.port.closed",
        [
            bad("app.port.closed"),
            bad("api.health.unreachable", kind="refused"),
            bad("api.latency.unknown", "unknown"),
        ],
    ),
    "processors": ("host.cpu.high", [bad("host.cpu.high"), bad("host.load.high", "warn")]),
    "disk": ("host.disk.high", [bad("host.disk.high")]),
    "inodes": ("host.inodes.high", [bad("host.inodes.high")]),
    "read-only": ("host.disk.readonly", [bad("host.disk.readonly")]),
    "redis down": (
        "redis.unreachable",
        [
            bad("redis.unreachable", target="127.0.0.1:6379", error_kind="refused"),
            bad(
                "api.health.degraded",
                dependencies={"redis": "disconnected", "database": "connected"},
            ),
        ],
    ),
    "redis replica": ("redis.writes.refused", [bad("redis.writes.refused", target="r:6379")]),
    "redis full": ("redis.memory.high", [bad("redis.memory.high", target="127.0.0.1:6379")]),
    "redis password": (
        "redis.auth.failed",
        [
            bad("redis.auth.failed", target="127.0.0.1:6379", error_kind="password"),
            bad("api.health.degraded", dependencies={"redis": "disconnected"}),
        ],
    ),
    "stopped by a person": (
        "app.service.down",
        [
            bad("app.service.down", reasons=[], stopped=True),
            bad("app.port.closed"),
            bad("api.health.unreachable", kind="refused"),
            bad("api.latency.unknown", "unknown"),
        ],
    ),
}


def found_roots(findings):
    return {item["id"] for item in roots(cause_rules.derive(findings))}


def both(first, second):
    """Return the findings of a host with both faults: what both report is one finding."""
    merged = {}
    for item in copy.deepcopy(first + second):
        known = merged.setdefault(item["id"], item)
        if known is not item:
            for kind, count in item["evidence"].get("kinds", {}).items():
                known["evidence"]["kinds"][kind] = known["evidence"]["kinds"].get(kind, 0) + count
            if "reasons" in item["evidence"]:
                known["evidence"]["reasons"] = (
                    known["evidence"]["reasons"] + item["evidence"]["reasons"]
                )
            if item["evidence"].get("dependencies"):
                known["evidence"]["dependencies"].update(
                    {
                        name: state
                        for name, state in item["evidence"]["dependencies"].items()
                        if state != "connected"
                    }
                )
    return list(merged.values())


#: What makes all who query it wait has the symptoms of many others, so these are tested alone.
WAITED_FOR = {
    "database frozen": (
        "db.unreachable",
        [
            bad("db.unreachable", target=TARGET, error_kind="hung"),
            bad("api.health.unreachable", kind="timeout"),
            bad("api.latency.high", seconds=9.5),
            bad("app.errors.rate", "warn", kinds={"database.timeout": 12}),
        ],
    ),
    "database of readers": (
        "db.writes.refused",
        [
            bad("db.writes.refused", target=TARGET),
            bad("app.errors.rate", "warn", kinds={"other": 13}),
        ],
    ),
    "prepared transaction": (
        "db.transactions.prepared",
        [
            {**bad("db.transactions.prepared", "warn"), "reason": "locks"},
            bad("api.latency.high", seconds=30.1),
        ],
    ),
    "redis frozen": (
        "redis.unreachable",
        [
            bad("redis.unreachable", target="127.0.0.1:6379", error_kind="hung"),
            bad("api.health.unreachable", kind="timeout"),
            bad("api.latency.high", seconds=9.5),
        ],
    ),
}


@pytest.mark.parametrize("name", list(WAITED_FOR))
def test_what_others_wait_for_is_their_root(name):
    root, findings = WAITED_FOR[name]
    assert found_roots(findings) == {root}


def test_a_disk_explains_only_what_cannot_be_written_there():
    full = {**bad("host.disk.high", filesystems=["/"]), "value": 92.0}
    refused = bad("redis.writes.refused", target="r:6379")
    for reason, derived in (("save", True), ("replica", False)):
        found = cause_rules.derive([full, {**refused, "reason": reason}])
        assert (found[1]["cause"] == "host.disk.high") is derived
    down = bad("db.unreachable", target=TARGET, error_kind="refused")
    for reason, derived in (("disk_full:15/main", True), ("hba:15/main", False)):
        found = cause_rules.derive([full, {**down, "reason": reason}])
        assert (found[1]["cause"] == "host.disk.high") is derived


@pytest.mark.parametrize("name", list(FAULTS))
def test_one_fault_gives_its_root(name):
    root, findings = FAULTS[name]
    assert found_roots(findings) == {root}


#: what two faults of a pair share, so that one cannot be distinguished from the other's symptom
DISTINGUISHED_BY_NOTHING = {
    frozenset(pair)
    for pair in [
        # The same finding is the root of both, or of one and a symptom of the other.
        ("port in use", "balancer blocked"),
        ("port in use", "health endpoint"),
        ("port in use", "starting for ever"),
        ("open files", "latency"),
        ("open files", "pool arithmetic"),
        ("missing variable", "starting for ever"),
        ("missing variable", "database stopped"),
        ("missing variable", "database stopped under the app"),
        ("missing variable", "database password"),
        ("missing variable", "database missing"),
        ("restart that waits", "database password"),
        ("exceptions", "failing API"),
        ("health endpoint", "slow start"),
        # An app that does not run has no symptoms but that.
        *[
            (down, hidden)
            for down in (
                "port in use",
                "missing variable",
                "invalid variable",
                ".env that its user may not read",
                "variable read in two ways",
                "database stopped",
                "database password",
                "database missing",
                "import error",
                "stopped by a person",
                "starting for ever",
            )
            for hidden in (
                "latency",
                "health endpoint",
                "slow start",
                "open files",
                "starting for ever",
                "stopped by a person",
            )
        ],
    ]
}


PAIRS = [
    pair
    for pair in itertools.combinations(FAULTS, 2)
    if frozenset(pair) not in DISTINGUISHED_BY_NOTHING
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_faults_give_two_roots(one, other):
    expected = {FAULTS[one][0], FAULTS[other][0]}
    assert found_roots(both(FAULTS[one][1], FAULTS[other][1])) == expected


@pytest.mark.parametrize(
    ("id", "variable"),
    [
        ("db.unreachable", "DATABASE_HOST"),
        ("db.auth.failed", "DATABASE_PASSWORD"),
        ("db.missing", "DATABASE_NAME"),
        ("redis.unreachable", "REDIS_HOST"),
        ("redis.auth.failed", "REDIS_PASSWORD"),
        ("zoho.token.invalid", "ZOHO_SDK_REFRESH_TOKEN"),
    ],
)
def test_a_missing_variable_explains_what_it_is_for_and_nothing_else(id, variable):
    def found(name):
        return found_roots(
            [bad("app.env.missing", variables=["%s: it is not set" % name]), bad(id)]
        )

    assert found(variable) == {"app.env.missing"}
    assert found("SECRET_KEY") == {"app.env.missing", id}


@pytest.mark.parametrize(
    ("status", "expected"),
    [(500, {"app.exceptions"}), (404, {"app.exceptions", "api.health.failing"})],
)
def test_exceptions_explain_an_error_of_the_server_and_not_a_missing_page(status, expected):
    failing = bad("api.health.failing", statuses=[status])
    assert found_roots([bad("app.exceptions", kinds={"other": 12}), failing]) == expected


def test_no_finding_derives_from_itself_by_any_way():
    possible = {
        effect: {cause for rule in rules for cause in rule.causes}
        for effect, rules in cause_rules.RULES.items()
    }
    ids = set(possible).union(*possible.values())
    edges = {
        id: {
            other
            for other in ids - {id}
            if any(causes.matches(bad(other), cause) for cause in possible.get(id, ()))
            and not other.endswith((".", ".unknown"))
            or other in possible.get(id, ())
        }
        for id in ids
    }
    done, open_ = set(), []

    def visit(id):
        assert id not in open_, "%s derives from itself: %s" % (id, " <- ".join(open_))
        if id in done:
            return
        open_.append(id)
        for cause in sorted(edges[id]):
            visit(cause)
        open_.pop()
        done.add(id)

    for id in sorted(ids):
        visit(id)


def test_what_is_good_is_no_cause_and_has_none():
    good = finding("app.port.conflict", "app", "ok", "x")
    item = bad("app.service.down", reasons=[], stopped=False)
    assert found_roots([good, item]) == {"app.service.down"}
    assert cause_rules.derive([good])[0]["cause"] is None


def test_what_is_unknown_explains_nothing():
    assert found_roots(
        [bad("db.connection.unknown", "unknown"), *down("database.unreachable")]
    ) == {
        "db.connection.unknown",
        "app.service.down",
        "app.exceptions",
    }


def test_an_unreadable_journal_is_one_root():
    checks = (
        "app.import",
        "app.exceptions",
        "app.errors",
        "app.oom",
        "app.crash",
        "zoho.api",
        "security.access",
    )
    unknown = [dict(bad(check + ".unknown", "unknown"), reason="error:logs") for check in checks]
    assert found_roots(unknown) == {"app.import.unknown"}
    assert found_roots(unknown[1:]) == {"app.exceptions.unknown"}


@pytest.mark.parametrize("reasons", [("error:logs", "error:limits"), (None, None), ("gap", "gap")])
def test_what_could_not_be_measured_for_different_reasons_is_several_roots(reasons):
    one, other = (
        dict(bad(subject + ".unknown", "unknown"), reason=reason)
        for subject, reason in zip(("app.errors", "app.oom"), reasons)
    )
    assert found_roots([one, other]) == {"app.errors.unknown", "app.oom.unknown"}


def test_a_failure_that_is_over_does_not_blame_another_one():
    findings = [
        bad("app.service.down", reasons=["database.unreachable"], stopped=False),
        bad("redis.unreachable", error_kind="refused"),
    ]
    assert found_roots(findings) == {"app.service.down", "redis.unreachable"}


def test_a_dependency_that_the_app_calls_good_does_not_degrade_it():
    findings = [
        bad("api.health.degraded", dependencies={"zoho": "error", "redis": "connected"}),
        bad("redis.memory.high", target="r:6379"),
    ]
    assert found_roots(findings) == {"api.health.degraded", "redis.memory.high"}


def test_a_cause_that_is_set_already_stays():
    item = dict(bad("app.port.closed"), cause="host.reboot")
    assert (
        cause_rules.derive([item, bad("app.service.down", stopped=True)])[0]["cause"]
        == "host.reboot"
    )


@pytest.mark.parametrize(
    ("error_kind", "cause"), [("timeout", "db.unreachable"), ("refused", None)]
)
def test_only_waiting_makes_slow(error_kind, cause):
    item, _other = cause_rules.derive(
        [bad("api.latency.high"), bad("db.unreachable", error_kind=error_kind)]
    )
    assert item["cause"] == cause


@pytest.mark.parametrize(("deaths", "cause"), [(7, "app.service.down"), (0, None)])
def test_workers_that_loop_keep_the_processors_busy(deaths, cause):
    loop = bad("app.service.down", reasons=["import"], worker_deaths=deaths)
    item, _other = cause_rules.derive([bad("host.cpu.high"), loop])
    assert item["cause"] == cause


@pytest.mark.parametrize(
    ("id", "refused", "cause"),
    [
        ("app.files.exhausted", 14202, "app.files.exhausted"),
        ("app.files.exhausted", 0, None),
        ("app.pool.exhausted", 14202, None),
    ],
)
def test_an_app_that_may_open_no_further_file_keeps_the_processor_busy(id, refused, cause):
    exhausted = bad(id, refused=refused)
    item, _other = cause_rules.derive([bad("host.cpu.high"), exhausted])
    assert item["cause"] == cause


@pytest.mark.parametrize(("scope", "cause"), [("machine", "host.memory.high"), ("unit", None)])
def test_the_limit_of_a_unit_is_not_the_machines_memory(scope, cause):
    item, _other = cause_rules.derive([bad("app.oom.killed", scope=scope), bad("host.memory.high")])
    assert item["cause"] == cause


@pytest.mark.parametrize(("starting", "cause"), [(True, "db.unreachable"), (False, None)])
def test_an_app_that_starts_does_not_listen_while_its_database_refuses(starting, cause):
    item, _other = cause_rules.derive(
        [bad("app.port.closed", starting=starting), bad("db.unreachable", error_kind="refused")]
    )
    assert item["cause"] == cause


@pytest.mark.parametrize("subject", ["security.keys", "security.env"])
def test_keys_that_cannot_be_read_derive_from_their_file(subject):
    item = bad(subject + ".unknown", "unknown")
    assert found_roots([item, bad("app.env.unreadable")]) == {"app.env.unreadable"}
    assert found_roots([item]) == {item["id"]}


def test_a_log_of_timeouts_is_not_explained_by_a_password():
    errors = bad("app.errors.rate", "warn", kinds={"database.timeout": 15})
    assert found_roots([errors, bad("db.auth.failed", error_kind="password")]) == {
        "app.errors.rate",
        "db.auth.failed",
    }


@pytest.mark.parametrize(
    ("reason", "types", "derives"),
    [
        ("exception:SyntaxError", ["SyntaxError"], True),
        ("variable:REDIS_PORT", ["pydantic_core._pydantic_core.ValidationError"], True),
        ("exception:SyntaxError", ["SyntaxError", "KeyError"], False),
        ("exception:SyntaxError", ["KeyError"], False),
        ("signal:KILL", ["KeyError"], False),
    ],
)
def test_exceptions_of_a_start_that_fails_derive_from_it(reason, types, derives):
    service = dict(down()[0], reason=reason)
    exceptions = bad(
        "app.exceptions", kinds={"other": 3}, groups=[{"type": name} for name in types]
    )
    found = found_roots([service, exceptions])
    assert found == ({"app.service.down"} if derives else {"app.service.down", "app.exceptions"})


@pytest.mark.parametrize("reason", ["exception:SyntaxError", "condition", "command"])
def test_a_unit_that_says_itself_why_it_failed_does_not_derive_from_other_faults(reason):
    service = dict(down()[0], reason=reason)
    findings = [service, bad("redis.unreachable"), bad("host.memory.high")]
    assert "app.service.down" in found_roots(findings)


@pytest.mark.parametrize(
    ("id", "variable", "other"),
    [
        ("db.unreachable", "DATABASE_URL", "DATABASE_POOL_SIZE"),
        ("db.unreachable", "DATABASE_HOST", "DATABASE_PASSWORD"),
        ("db.auth.failed", "DATABASE_PASSWORD", "DATABASE_TIMEOUT"),
        ("db.missing", "DATABASE_NAME", "DATABASE_PASSWORD"),
        ("redis.unreachable", "REDIS_PORT", "REDIS_CACHE_TTL"),
        ("redis.auth.failed", "REDIS_PASSWORD", "REDIS_DB"),
        ("zoho.token.invalid", "ZOHO_SDK_CLIENT_SECRET", "ZOHO_BATCH_SIZE"),
        ("security.mfa.off", "REQUIRE_MFA", "SESSION_TIMEOUT"),
        ("security.keys.weak", "SESSION_TIMEOUT", "REQUIRE_MFA"),
    ],
)
def test_a_restart_that_waits_explains_what_its_variables_say_and_nothing_else(id, variable, other):
    def found(name):
        return found_roots([bad("app.restart.pending", "warn", variables=[name]), bad(id)])

    assert found(variable) == {"app.restart.pending"}
    assert found(other) == {"app.restart.pending", id}


def unmeasured(id, aspect, why):
    component = id.partition(".")[0]
    return finding(
        id,
        component,
        "unknown",
        "x could not be measured: %s" % why,
        reason="gap:logs." + aspect,
    )


def test_a_journal_that_keeps_nothing_is_one_root():
    why = "journald stores nothing (Storage=none)"
    found = cause_rules.derive(
        [
            unmeasured("app.import.unknown", "destination", why),
            unmeasured("app.oom.unknown", "journal", why),
            unmeasured("app.crash.unknown", "journal", why),
            unmeasured("app.errors.unknown", "destination", why + "; another"),
            unmeasured("api.latency.unknown", "latency", why + "; /metrics answers 404"),
            unmeasured("security.access.unknown", "clients", "of something else"),
        ]
    )
    assert {item["id"] for item in roots(found)} == {"app.oom.unknown", "security.access.unknown"}


@pytest.mark.parametrize(
    ("aspect", "path", "cause"),
    [
        ("journal", "/var/log/journal", "host.disk.high"),
        ("window", "/", "host.disk.high"),
        ("journal", "/srv/exports", None),
        ("destination", "/", None),
    ],
)
def test_a_full_disk_costs_the_oldest_lines(aspect, path, cause):
    disk = bad("host.disk.high", filesystem={"path": path})
    item = unmeasured("app.oom.unknown", aspect, "the journal has nothing from before")
    found = cause_rules.derive([disk, item])
    assert found[1]["cause"] == cause


@pytest.mark.parametrize(
    ("reason", "cause", "explains"),
    [
        ("account_syncs", "zoho.token.invalid", True),
        ("account_syncs", "cognee.down", False),
        ("memory_queries", "cognee.down", True),
        ("memory_queries", "zoho.token.invalid", False),
        ("agent_sessions", "db.unreachable", True),
        ("account_syncs", "app.errors.rate", True),
        ("pattern:quota", "app.errors.rate", False),
    ],
)
def test_what_explains_an_event(reason, cause, explains):
    event = dict(bad("app.events.seen", "warn"), reason=reason)
    found = cause_rules.derive([bad(cause), event])
    assert found[1]["cause"] == (cause if explains else None)


def test_a_restart_by_an_upgrade_is_a_finding_where_something_derives_from_it():
    restarted = dict(bad("host.packages.restarted", "warn"), reason="unit:sergas-app.service")
    (item,) = cause_rules.derive([restarted])
    assert (item["id"], item["status"], item["reason"]) == ("host.packages.ok", "ok", None)
    errors = bad("app.errors.rate", "warn", kinds={"other": 3})
    assert found_roots([errors, restarted]) == {"host.packages.restarted"}


def test_a_log_that_is_flooded_by_refused_files_is_unknown_because_of_that():
    unknown = [
        dict(bad(id, "unknown"), reason="gap:logs.loss")
        for id in ("app.import.unknown", "app.exceptions.unknown")
    ]
    files = bad("app.files.exhausted", refused=7000)
    assert found_roots([*unknown, files]) == {"app.files.exhausted"}
    assert "app.import.unknown" in found_roots([*unknown, bad("app.files.exhausted", refused=0)])
