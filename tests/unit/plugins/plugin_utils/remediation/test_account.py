# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import jsonschema
import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import (
    catalogue,
    options,
    plan,
    reading,
    show,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.report import (
    formats,
    markdown,
    model,
    page,
    results,
    terminal,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.report.outcomes import account, conclude

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SCHEMA = json.loads(
    (Path(__file__).resolve().parents[5] / "docs" / "report.schema.json").read_text()
)


@pytest.fixture
def planned(makers):
    """A plan for three hosts and one that is held back, as the action returns it."""

    def run(mode="apply", **plan_options):
        down = makers.bad(evidence={"target": "127.0.0.1:6379"})
        hosts = {"a": [down], "b": [down], "c": [down], "d": [makers.good("redis.ok", "redis")]}
        contexts = dict.fromkeys(hosts, plan.HostContext())
        plan_options = plan.PlanOptions(**{"max_share": 1, "batches": (1,), **plan_options})
        made = plan.make(
            makers.report(hosts), makers.remedies(start_redis={}), contexts, {}, plan_options, NOW
        )
        return {**made, "mode": mode, "run": "r1", "by": "alice@controller"}

    return run


def ended(outcome, remedy="start_redis", host="a", **more):
    """Return the record of a remedy that has ended, as role remediate leaves it on the host."""
    return {
        "remedy": remedy,
        "answers": [{"host": host, "id": "redis.unreachable", "reason": None}],
        "probe_host": host,
        "outcome": outcome,
        "worse": False,
        "reason": "so it was",
        "started": "2026-11-24T12:00:01Z",
        "ended": "2026-11-24T12:00:09Z",
        "before": [],
        "after": [],
        **more,
    }


def state(*records, **changes):
    """Return the state of the remedies of a host, as role remediate leaves it there."""
    return {"next": "done", "outcomes": list(records), "current": "", "outcome": "", **changes}


def outcomes(reported):
    return {entry["host"]: (entry["outcome"], entry["reason"]) for entry in reported["entries"]}


def test_a_plan_that_is_not_applied_says_so(planned):
    reported = account(planned("plan"), {})
    assert {outcome for outcome, _reason in outcomes(reported).values()} == {"planned"}
    assert reported["counts"] == {"planned": 3} and not reported["failed"]


def test_what_ended_badly_fails_and_stops_the_others(planned):
    reported = account(planned(), {"a": state(ended("undone"))})
    assert outcomes(reported) == {
        "a": ("undone", "so it was"),
        "b": ("not tried", "stopped after a"),
        "c": ("not tried", "stopped after a"),
    }
    assert reported["failed"]


def test_a_host_that_was_lost_is_unknown_and_rolls_back(planned, makers):
    lost = {"a": state(current="start_redis")}
    reported = account(planned(), lost)
    outcome, reason = outcomes(reported)["a"]
    assert outcome == "unknown" and "no undo" in reason
    made = planned()
    for entry in made["entries"]:
        entry["undo"] = None
    outcome, reason = outcomes(account(made, lost))["a"]
    assert "rolls back automatically, at the latest 390 s after the start" in reason
    assert outcomes(reported)["b"] == ("not tried", "stopped after a")


def test_a_host_that_was_lost_after_the_end_of_a_remedy_says_how_it_ended(planned):
    lost = {"a": state(current="start_redis", next="end", outcome="kept", reason="it is gone")}
    outcome, reason = outcomes(account(planned(), lost))["a"]
    assert (outcome, reason) == ("unknown", "a was lost after it had ended: kept, it is gone")


def test_a_host_whose_state_was_lost_is_unknown_and_stops_the_others(planned):
    reported = account(planned(), {"a": {"failed": True, "msg": "worker found in a dead state"}})
    outcome, reason = outcomes(reported)["a"]
    assert outcome == "unknown" and "so it may have begun; it has no undo" in reason
    assert outcomes(reported)["b"] == ("not tried", "stopped after a")


def test_what_is_left_ahead_of_a_run_says_that_it_is_unknown(planned):
    reported = account(planned(), {}, ahead=True)
    assert {outcome for outcome, _reason in outcomes(reported).values()} == {"unknown"}
    held = account(planned(max_share=0.5), {}, ahead=True)
    assert {outcome for outcome, _reason in outcomes(held).values()} == {"guarded"}


def test_what_is_held_back_keeps_its_reason(planned):
    reported = account(planned(max_share=0.5), {})
    assert {outcome for outcome, _reason in outcomes(reported).values()} == {"guarded"}
    assert "3 of 4 hosts with redis" in outcomes(reported)["a"][1]


def report(makers, remediation, fail_on="never"):
    entry = results.host_entry(
        "a",
        [],
        ["a"],
        {
            "x": {
                "findings": [makers.good()],
                "changes": [
                    {
                        "time": "2026-11-24T12:00:01Z",
                        "ended": "2026-11-24T12:00:09Z",
                        "run": "r1",
                        "remedy": "start_redis",
                        "findings": ["redis.unreachable"],
                        "by": "<alice>",
                        "host": "a",
                        "outcome": "kept",
                        "before": [{"id": "x"}],
                        "after": [],
                        "reason": None,
                    }
                ],
            }
        },
        ["x"],
    )
    return model.build(
        [entry], "2026-11-24T18:00:00Z", "1", {}, fail_on, "Fleet", remediation=remediation
    )


def test_every_outcome_keeps_the_schema_and_is_in_every_format(makers, planned):
    for outcome in ("kept", "undone", "failed", "refused", "unverified", "would apply"):
        record = ended(outcome, reason="<b>because</b>", after=[makers.bad()])
        found = report(makers, account(planned(), {"a": state(record)}))
        written = json.loads(formats.render_json(found))
        jsonschema.validate(written, SCHEMA, cls=jsonschema.Draft202012Validator)
        assert "| reload, reversible |" in markdown.render(found)
        assert "impact reload, reversible; changes" in page.render(found)
        assert outcome in markdown.render(found) and "&lt;b&gt;because" in markdown.render(found)
        html = page.render(found)
        assert "&lt;b&gt;because" in html and "<b>because" not in html and "&lt;alice&gt;" in html
        lines = [text for text, _colour in terminal.lines(found, 100)]
        assert any(line.startswith("%s  a  start_redis" % outcome.upper()) for line in lines)
        assert len(lines) <= terminal.MOST_LINES
        failed = outcome in ("undone", "failed")
        assert found["summary"]["failed"] is failed
        if failed:
            assert "remedies ended badly: 1 %s" % outcome in found["summary"]["reason"]


def concluded(makers, planned, outcome, *found, host="a"):
    """Return (outcome, reason) of a remedy in a report whose hosts have these findings."""
    hosts = {name: list(found) if name == host else [makers.good()] for name in "abc"}
    entries = makers.report(hosts)["hosts"]
    records = {name: state(ended(outcome, host=name)) for name in "abc"}
    made = model.build(
        [dict(entry, addresses=[], groups=[]) for entry in entries],
        "2026-11-24T18:00:00Z",
        "1",
        {},
        "never",
        "Fleet",
        remediation=account(planned(), records),
    )
    jsonschema.validate(json.loads(formats.render_json(made)), SCHEMA)
    return made, outcomes(made["remediation"])[host]


def test_a_remedy_is_not_kept_beside_its_finding(makers, planned):
    """Seen: six remedies, each "kept, it is gone", and the failure in the same report."""
    still = makers.bad(summary="refused")
    made, (outcome, reason) = concluded(makers, planned, "kept", still)
    assert outcome == "failed" and "the last check has redis.unreachable: refused" in reason
    assert "there is no undo" in reason
    assert made["remediation"]["failed"] and made["summary"]["failed"]
    assert made["remediation"]["counts"] == {"failed": 1, "kept": 2}
    # What could not be measured is not gone.
    unknown = makers.bad(status="unknown")
    assert concluded(makers, planned, "kept", unknown)[1][0] == "failed"


def test_a_remedy_was_not_unnecessary_beside_its_finding(makers, planned):
    """Case: the app reports Cognee down, and Cognee itself says that all is well."""
    made, (outcome, reason) = concluded(makers, planned, "not needed", makers.bad())
    assert outcome == "not tried" and "the last check has redis.unreachable" in reason
    assert not made["remediation"]["failed"]


def test_what_is_no_matter_of_a_remedy_leaves_it_kept(makers, planned):
    other = makers.bad("host.disk.high", None, "host")
    assert concluded(makers, planned, "kept", other)[1][0] == "kept"
    for outcome in ("undone", "refused", "unverified"):
        assert concluded(makers, planned, outcome, makers.bad())[1][0] == outcome


def test_another_finding_of_the_same_id_was_there_before(makers, planned):
    made = planned()
    for entry in made["entries"]:
        entry["others"] = [("redis.unreachable", "replica")]
    kept = {"a": state(ended("kept"))}
    hosts = makers.report({"a": [makers.bad(reason="replica")]})["hosts"]
    left = outcomes(conclude(account(made, kept), hosts))
    assert left["a"][0] == "kept"
    hosts = makers.report({"a": [makers.bad(reason="password")]})["hosts"]
    assert outcomes(conclude(account(made, kept), hosts))["a"][0] == "failed"


def test_what_waits_for_traffic_stays_unverified_and_fails_nothing(planned):
    made = planned()
    guard = {"name": "traffic", "reason": "it was done at noon", "allow": "wait"}
    made["entries"][0]["guards"] = [guard]
    reported = account(made, {})
    assert outcomes(reported)["a"] == ("unverified", "it was done at noon")
    assert not reported["failed"]
    assert account(planned(), {"a": state(ended("unverified"))})["failed"] is False


IDS = ("redis.unreachable", "app.exceptions", "host.disk.high", "api.latency.high")
REASONS = (None, "first", "second:/data")


def test_no_report_has_a_remedy_kept_or_unnecessary_beside_its_finding(makers):
    """Reports of hosts, findings and outcomes as they may come, a thousand of them."""
    random = Random(16)
    refuted = 0
    for _number in range(1000):
        hosts = {
            name: [
                makers.bad(
                    random.choice(IDS),
                    random.choice([None, "start_redis"]),
                    status=random.choice(["warn", "fail", "unknown"]),
                    reason=random.choice(REASONS),
                    evidence=random.choice([{}, {"last_seen": "2026-11-24T12:00:00Z"}]),
                )
                for _item in range(random.randrange(4))
            ]
            or [makers.good()]
            for name in "abc"
        }
        before = makers.report(hosts)
        contexts = dict.fromkeys(hosts, plan.HostContext())
        chosen = plan.PlanOptions(max_share=1, approve=("start_redis",))
        made = plan.make(before, makers.remedies(start_redis={}), contexts, {}, chosen, NOW)
        records = {}
        for entry in made["entries"]:
            outcome = random.choice(["kept", "not needed", "undone", "unverified"])
            record = ended(outcome, host=entry["probe_host"], answers=entry["answers"])
            records[entry["host"]] = state(record)
        made.update(mode="apply", run="r1", by="alice")
        after = {
            name: [item for item in items if random.random() < 0.5] or [makers.good()]
            for name, items in hosts.items()
        }
        left = conclude(account(made, records), makers.report(after)["hosts"])
        for entry in left["entries"]:
            others = {(one["id"], one["reason"]) for one in entry["others"]}
            beside = [
                item
                for name in entry["helps"]
                for item in after[name]
                if item["status"] in ("warn", "fail", "unknown")
                and item["id"] in {one["id"] for one in entry["answers"] if one["host"] == name}
                and (item["id"], item["reason"]) not in others
            ]
            assert not (beside and entry["outcome"] in ("kept", "not needed")), entry
            refuted += bool(beside)
    assert refuted > 100


def test_every_report_of_the_fleet_is_searched_for_contradictions(makers, planned):
    """What reads the reports of the fleet tests finds what the model would have to miss."""
    path = Path(__file__).resolve().parents[4] / "fleet" / "reports.py"
    spec = importlib.util.spec_from_file_location("fleet_reports", path)
    reports = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reports)
    hosts = makers.report({"a": [makers.bad()], "b": [makers.good()], "c": [makers.good()]})
    kept = {name: state(ended("kept", host=name)) for name in "abc"}
    stated = account(planned(), kept)
    assert reports.contradictions({**hosts, "remediation": stated}) == [
        ("a", "start_redis", "kept", "redis.unreachable")
    ]
    concluded_one = conclude(stated, hosts["hosts"])
    assert reports.contradictions({**hosts, "remediation": concluded_one}) == []
    assert reports.contradictions({**hosts, "remediation": None}) == []


def test_a_report_without_a_plan_has_none(makers):
    found = report(makers, None)
    jsonschema.validate(
        json.loads(formats.render_json(found)), SCHEMA, cls=jsonschema.Draft202012Validator
    )
    assert "Remedies" not in page.render(found) + markdown.render(found)


def shown(made, mode="plan", width=100):
    return "\n".join(text for text, _colour in show.lines(made, mode, width))


def test_the_plan_tells_what_why_how_and_what_holds_it_back(planned):
    text = shown(planned("plan"))
    assert text.startswith("Plan: 3 remedies on 3 hosts.")
    assert "impact reload a start_redis - Start Redis" in text
    for word in ("why", "changes", "no undo", "Nothing was changed", "sergas_apply=true"):
        assert word in text
    made = planned("plan")
    for entry in made["entries"]:
        entry.update(impact="disruptive", reversible=False)
    assert "impact disruptive, NOT REVERSIBLE a start_redis - Start Redis" in shown(made)
    text = shown(planned("plan", max_share=0.5))
    assert "impact   reload" in text
    assert "Plan: 0 remedies on 0 hosts, 3 held back." in text
    assert "HELD BACK" in text and "allow" in text and "sergas_max_share=0.75" in text


def test_nothing_to_do_is_one_line(makers):
    hosts = {"a": [makers.good()]}
    made = plan.make(
        makers.report(hosts), {}, {"a": plan.HostContext()}, {}, plan.PlanOptions(), NOW
    )
    assert shown(made) == "Plan: nothing to do."


def test_a_hosts_text_steers_no_terminal(makers):
    hosts = {"a": [makers.bad(summary="\x1b[2Jgone\nPlan: all is well")]}
    made = plan.make(
        makers.report(hosts),
        makers.remedies(start_redis={}),
        {"a": plan.HostContext()},
        {},
        plan.PlanOptions(),
        NOW,
    )
    text = shown(made)
    assert "\x1b" not in text and "\nPlan: all is well" not in text


def write(directory, makers, name="start_redis", tasks=True, text=None):
    (directory / "tasks").mkdir(parents=True, exist_ok=True)
    (directory / (name + ".yml")).write_text(text or json.dumps(makers.document()))
    if tasks:
        (directory / "tasks" / (name + ".yml")).write_text("---\n")
    return (str(directory), str(directory / "tasks"))


def test_remedies_are_found_by_name_and_the_users_own_are_known(tmp_path, makers):
    first = write(tmp_path / "role", makers)
    second = write(tmp_path / "own", makers, "own_start")
    found, files = reading.read_catalogue([first, second])
    assert {name: remedy["own"] for name, remedy in found.items()} == {
        "own_start": True,
        "start_redis": False,
    }
    assert files["own_start"]["tasks"] == str(tmp_path / "own" / "tasks" / "own_start.yml")


def test_a_catalogue_that_cannot_be_is_refused_with_the_reason(tmp_path, makers):
    first = write(tmp_path / "role", makers)
    with pytest.raises(catalogue.CatalogueError, match="there are two"):
        reading.read_catalogue([first, write(tmp_path / "own", makers)])
    with pytest.raises(catalogue.CatalogueError, match="cannot be read: No such file"):
        reading.read_catalogue([(str(tmp_path / "none"), "")])
    with pytest.raises(catalogue.CatalogueError, match="remedy broken: .* cannot be read"):
        reading.read_catalogue([write(tmp_path / "bad", makers, "broken", text="a: [")])
    with pytest.raises(catalogue.CatalogueError, match="no file with its tasks"):
        reading.read_catalogue([write(tmp_path / "half", makers, tasks=False)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema_version": "1.1"}', "has the schema version 1.1, allowed is 2.x"),
        ('{"schema_version": 1}', "has the schema version 1, allowed is 2.x"),
        ("[]", "has the schema version None"),
        ("{", "is not JSON"),
        ('{"schema_version": "2.0", "hosts": []}', "does not match"),
        (
            '{"schema_version": "2.0", "hosts": [{"name": "a"}], "fleet": [], "roots": []}',
            "does not match",
        ),
    ],
)
def test_a_report_that_cannot_be_is_refused_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(options.OptionError) as error:
        reading.read_report("sergas_report_file", str(path))
    assert str(error.value).startswith("sergas_report_file: ") and reason in str(error.value)


def test_a_report_of_another_minor_version_is_read(tmp_path, makers):
    found = dict(report(makers, None), schema_version="2.7")
    path = tmp_path / "report.json"
    path.write_text(json.dumps(found))
    assert reading.read_report("x", str(path))["hosts"][0]["name"] == "a"
    with pytest.raises(options.OptionError, match="cannot be read: No such file"):
        reading.read_report("x", str(tmp_path / "none"))
