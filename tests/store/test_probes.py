"""What the probes find, on the engine.

More than 400 lines: a test or two for each probe, all of the same made windows and items; apart, each part would bring these along.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import pytest

from streams.detect.alert import alert_rows
from streams.detect.observed import Group
from streams.detect.policy import AlertPolicy, shipped_probes
from streams.detect.probes import Finding, judged
from streams.events.keys import partition_of
from streams.store.client import Client
from streams.store.probes import ask, note_verification
from streams.store.reading import ClickHouseStored
from streams.store.sink import ClickHouseInserts, Sink
from streams.store.verify import TableReport, VerifyReport
from streams.windows.measures import DAY_US

DAY = 86_400
NOW = 1_800_000_000 // DAY * DAY + 11 * 3600  # 2027-01-15 11:00 UTC
BY_NAME = {probe.name: probe for probe in shipped_probes()}
USD = 1_000_000


def put(client: Client, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows; columns that are left out have their type's default."""
    for row in rows:
        columns = ", ".join(row)
        values = ", ".join(_literal(value) for value in row.values())
        client.command(f"INSERT INTO {table} ({columns}) VALUES ({values})")


def _literal(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def found(client: Client, name: str, now_s: int = NOW, budgets: dict[Group, int] | None = None) -> list[Finding]:
    everything = range(4)
    return ask(
        ClickHouseStored(client), BY_NAME[name], everything, 4, now_s * 1_000_000, AlertPolicy(budgets=budgets or {})
    )[1]


@pytest.mark.parametrize("name", BY_NAME)
def test_an_empty_store_has_nothing_wrong(migrated: Client, name: str) -> None:
    assert found(migrated, name, budgets={("acme", ""): 1}) == []


def test_results_are_late_when_a_partition_stands_still(migrated: Client) -> None:
    put(
        migrated,
        "window_checkpoints",
        [{"upart": 0, "watermark": NOW - 60, "version": 1}, {"upart": 1, "watermark": NOW - 900, "version": 1}],
    )
    assert found(migrated, "results_late") == []
    assert found(migrated, "results_late", NOW + 600) == []  # no window was ever written on time
    put(migrated, "value_windows", [window("tenant", "1h", NOW - 7200, backfill=0)])
    [late] = found(migrated, "results_late", NOW + 600)
    assert (late.value, late.amount, late.of) == (25_000, 1, 2)
    assert "25 min behind" in BY_NAME["results_late"].says(late)


def test_dead_letters_count_against_the_records_of_the_same_minutes(migrated: Client) -> None:
    dead = "INSERT INTO dead_letters (topic, koff, appended_at, reason, version) SELECT 'usage-events', number, toDateTime64({at:Int64}, 6), 'truncated', 1 FROM numbers({first:UInt64}, {rows:UInt64})"
    migrated.command(dead, {"at": NOW - 3600, "first": 0, "rows": 500})
    migrated.command(dead, {"at": NOW - 60, "first": 1000, "rows": 49})
    assert found(migrated, "dead_letters") == []
    migrated.command(dead, {"at": NOW - 60, "first": 2000, "rows": 1})
    [few] = found(migrated, "dead_letters")
    assert (few.amount, few.of, few.names) == (50, 50, ["truncated"])
    usage = "INSERT INTO usage_events (tenant, event_id, koff, occurred_at, appended_at) SELECT 'acme', toString(number), number, toDateTime64({at:Int64}, 6), toDateTime64({at:Int64}, 6) FROM numbers(4950)"
    migrated.command(usage, {"at": NOW - 60})
    assert found(migrated, "dead_letters") == []


def test_a_verification_that_found_a_difference_is_told_until_one_finds_none(migrated: Client) -> None:
    sink = Sink(ClickHouseInserts(migrated), "test")
    now_us = int(migrated.query("SELECT toUnixTimestamp64Micro(now64(6))").result_rows[0][0])
    note_verification(
        sink, VerifyReport((TableReport("panes", 900, 3), TableReport("work_items", 50, 0)), None, "", 1.0)
    )
    [differs] = found(migrated, "verify_mismatch", now_us // 1_000_000 + 5)
    assert (differs.amount, differs.of, differs.names) == (3, 950, ["panes"])
    assert found(migrated, "verify_mismatch", now_us // 1_000_000 + 3 * DAY) == []
    note_verification(sink, VerifyReport((TableReport("panes", 900, 0),), None, "", 1.0))
    assert found(migrated, "verify_mismatch", now_us // 1_000_000 + 5) == []


def test_a_verification_that_no_longer_runs_is_told_until_one_does(migrated: Client) -> None:
    assert found(migrated, "verify_overdue") == []  # it never did
    put(migrated, "verifications", [{"verified_at": NOW - 36 * 3600, "compared": 9}])
    assert found(migrated, "verify_overdue") == []
    [overdue] = found(migrated, "verify_overdue", NOW + 3600)
    assert (overdue.value, overdue.amount, overdue.threshold) == (37, 37, 36)
    put(migrated, "verifications", [{"verified_at": NOW, "compared": 9}])
    assert found(migrated, "verify_overdue", NOW + 3600) == []
    fired = judged(BY_NAME["verify_overdue"], [], [overdue], NOW * 1_000_000)
    Sink(ClickHouseInserts(migrated), "test").rows("alerts", alert_rows(fired))
    assert migrated.query("SELECT rule, kind, state FROM v_alerts").result_rows == [
        ("verify_overdue", "ticket", "firing")
    ]


def window(grouping: str, size: str, end: int, **measures: Any) -> dict[str, Any]:
    return {
        "tenant": "acme",
        "grouping": grouping,
        "size": size,
        "window_end": end,
        "status": "final",
        "backfill": 1,
        "version": 1,
        **measures,
    }


def test_models_without_a_price_are_named_with_the_most_used_first(migrated: Client) -> None:
    end = NOW // 3600 * 3600 - 3600
    rows = [("old-1", 970, 0), ("new-1", 20, 20), ("new-2", 30, 30)]
    put(
        migrated,
        "value_windows",
        [window("tenant_model", "24h", end, model=m, requests=n, unpriced_requests=k) for m, n, k in rows],
    )
    put(
        migrated,
        "value_windows",
        [window("tenant_model", "24h", end - 3600, model="gone", requests=9, unpriced_requests=9)],
    )
    [finding] = found(migrated, "unpriced_model")
    assert (finding.tenant, finding.team, finding.amount, finding.of, finding.names) == (
        "acme",
        "",
        50,
        1020,
        ["new-2", "new-1"],
    )
    put(migrated, "value_windows", [window("tenant_model", "24h", end, model="old-2", requests=4000)])
    assert found(migrated, "unpriced_model") == []


def test_three_teams_that_lose_their_items_at_once_are_one_broken_hook(migrated: Client) -> None:
    columns = {"rule": "unattributed_surge", "tenant": "acme", "spend_micro_usd": USD, "version": 1}
    rows = [
        columns | {"fingerprint": team, "team": team, "state": state, "started_at": NOW - 3600}
        for team, state in (("a", "pending"), ("b", "firing"), ("d", "resolved"))
    ]
    put(
        migrated,
        "alerts",
        [*rows, columns | {"fingerprint": "old", "team": "old", "state": "firing", "started_at": NOW - 9 * DAY}],
    )
    assert found(migrated, "broken_hook") == []
    put(migrated, "alerts", [columns | {"fingerprint": "c", "team": "c", "state": "pending", "started_at": NOW - 60}])
    [hook] = found(migrated, "broken_hook")
    assert (hook.tenant, hook.team, hook.amount, hook.names) == ("acme", "", 3, ["a", "b", "c"])
    [later] = found(migrated, "broken_hook", NOW + 10 * DAY)
    assert later == hook, "as long as the three go on"


def test_no_completions_are_told_where_usage_comes_as_usual(migrated: Client) -> None:
    end = NOW // 3600 * 3600 - 3600
    for weeks, items, requests in ((1, 40, 900), (2, 18, 1000), (3, 35, 1100), (4, 30, 1000)):
        put(
            migrated,
            "value_windows",
            [window("tenant", "24h", end - weeks * 7 * DAY, items_completed=items, requests=requests)],
        )
    put(migrated, "value_windows", [window("tenant", "24h", end - 3600, items_completed=3, requests=900)])
    assert found(migrated, "completions_silent") == []
    put(migrated, "value_windows", [window("tenant", "24h", end, items_completed=0, requests=499)])
    assert found(migrated, "completions_silent") == []  # a holiday
    put(migrated, "value_windows", [window("tenant", "24h", end, items_completed=0, requests=700) | {"version": 2}])
    [silent] = found(migrated, "completions_silent")
    assert (silent.tenant, silent.amount, silent.of) == ("acme", 30, 700)
    put(migrated, "value_windows", [window("tenant", "24h", end, items_completed=1, requests=700) | {"version": 3}])
    assert found(migrated, "completions_silent") == []


def test_a_budget_is_told_when_it_is_used_up_or_will_be(migrated: Client) -> None:
    # Day 15 of 31, half past: 14.46 days. A team of $100 will have spent $214, the tenant of $150 $322.
    put(
        migrated,
        "panes",
        [
            {
                "tenant": "acme",
                "team": team,
                "pane_start": NOW - 5 * DAY,
                "standard_cost_micro_usd": usd * USD,
                "version": 1,
            }
            for team, usd in (("search", 100), ("ads", 50))
        ],
    )
    put(
        migrated,
        "panes",
        [
            {
                "tenant": "acme",
                "team": "ads",
                "pane_start": NOW - 20 * DAY,
                "standard_cost_micro_usd": 900 * USD,
                "version": 1,
            }
        ],
    )
    findings = found(
        migrated,
        "budget_forecast",
        budgets={
            ("acme", "search"): 150 * USD,
            ("acme", "ads"): 100 * USD,
            ("acme", ""): 140 * USD,
            ("other", ""): USD,
        },
    )
    assert {(f.team, f.spend_micro_usd // USD, f.amount // USD, f.value) for f in findings} == {
        ("search", 100, 214, 1429),
        ("", 150, 150, 1071),
    }
    early = 1_798_761_600 + 5 * DAY  # day 6 of January: nothing is foretold
    assert found(migrated, "budget_forecast", early, {("acme", "search"): 150 * USD}) == []


def test_four_fifths_of_a_budget_are_told_at_any_time_of_the_month(migrated: Client) -> None:
    day_5 = 1_798_761_600 + 5 * DAY
    rows = {"tenant": "acme", "team": "search", "pane_start": day_5 - DAY, "version": 1}
    put(migrated, "panes", [rows | {"standard_cost_micro_usd": 100 * USD}])
    assert found(migrated, "budget_forecast", day_5, {("acme", "search"): 126 * USD}) == []
    [used] = found(migrated, "budget_forecast", day_5, {("acme", "search"): 125 * USD})
    assert (used.value, used.threshold, used.amount // USD) == (800, 800, 100)
    assert BY_NAME["budget_forecast"].says(used) == "has spent $100 on AI this month, 80 % of its budget of $125"


def item(name: str, **columns: Any) -> dict[str, Any]:
    history = f"[(toDateTime64({NOW - 90 * DAY}, 6), 'e', 'created', 'search', 'story', [], 0, '', '', '')]"
    return {
        "tenant": "acme",
        "team": "search",
        "work_item_id": name,
        "state": "open",
        "version": 1,
        **columns,
        "history": history,
    }


def put_items(client: Client, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        values = ", ".join(value if name == "history" else _literal(value) for name, value in row.items())
        client.command(f"INSERT INTO work_items ({', '.join(row)}) VALUES ({values})")


def test_an_old_item_that_eats_a_tenth_of_a_team_is_a_sink(migrated: Client) -> None:
    put_items(
        migrated,
        [
            item("old", first_event_at=NOW - 41 * DAY),
            item("young", first_event_at=NOW - 3 * DAY),
            item("done", first_event_at=NOW - 60 * DAY, state="completed"),
        ],
    )
    day = NOW // DAY - 2
    put(
        migrated,
        "work_item_usage",
        [
            {
                "tenant": "acme",
                "team": "search",
                "work_item_id": name,
                "usage_day": day,
                "standard_cost_micro_usd": usd * USD,
                "version": 1,
            }
            for name, usd in (("old", 140), ("young", 400), ("done", 400))
        ],
    )
    put(
        migrated,
        "panes",
        [
            {
                "tenant": "acme",
                "team": "search",
                "pane_start": day * DAY,
                "standard_cost_micro_usd": 1000 * USD,
                "version": 1,
            }
        ],
    )
    [sink] = found(migrated, "token_sink")
    assert (sink.team, sink.value, sink.amount, sink.spend_micro_usd, sink.names) == (
        "search",
        140,
        41,
        140 * USD,
        ["old"],
    )
    put(
        migrated,
        "panes",
        [
            {
                "tenant": "acme",
                "team": "search",
                "tool": "b",
                "pane_start": day * DAY,
                "standard_cost_micro_usd": 400 * USD,
                "version": 1,
            }
        ],
    )
    assert found(migrated, "token_sink") == []


def test_items_that_ended_without_a_word_are_stalled(migrated: Client) -> None:
    stalled = [item(f"s{n}", last_event_at=NOW - (30 + n) * DAY) for n in range(10)]
    done = [item(f"d{n}", state="completed", completed_at=NOW - 3 * DAY) for n in range(20)]
    before = [item(f"b{n}", state="completed", completed_at=NOW - 40 * DAY) for n in range(9)] + [
        item("b", last_event_at=NOW - 70 * DAY)
    ]
    put_items(migrated, [*stalled[1:], *done, *before])
    assert found(migrated, "stalled") == []
    put_items(migrated, stalled[:1])
    [finding] = found(migrated, "stalled")
    assert (finding.team, finding.amount, finding.of, finding.value, finding.baseline) == ("search", 10, 30, 333, 100)
    put(
        migrated,
        "work_item_usage",
        [{"tenant": "acme", "work_item_id": "s1", "usage_day": 1, "last_at": NOW - DAY, "version": 1}],
    )
    assert found(migrated, "stalled") == []


@pytest.mark.parametrize(("name", "column"), [("reopened", "items_reopened"), ("canceled", "items_canceled")])
def test_shares_of_items_are_compared_with_the_stretch_before(migrated: Client, name: str, column: str) -> None:
    end = NOW // DAY * DAY
    put(migrated, "value_windows", [window("team", "28d", end, team="search", items_completed=40, **{column: 12})])
    put(migrated, "value_windows", [window("team", "28d", end - DAY, team="search", items_completed=1, **{column: 1})])
    [finding] = found(migrated, name)
    whole = 40 if name == "reopened" else 52
    assert (finding.team, finding.amount, finding.of, finding.value, finding.baseline) == (
        "search",
        12,
        whole,
        12_000 // whole,
        0,
    )
    put(
        migrated,
        "value_windows",
        [window("team", "28d", end - 28 * DAY, team="search", items_completed=40, **{column: 7})],
    )
    assert found(migrated, name) == []


def test_alerts_of_a_probe_are_taken_up_by_who_owns_the_tenant(migrated: Client) -> None:
    probe, stored = BY_NAME["unpriced_model"], ClickHouseStored(migrated)
    finding = Finding("acme", "", 20, 0, 10, 0, 2, 100, ["new"])
    [fired] = judged(probe, [], [finding], NOW * 1_000_000)
    Sink(ClickHouseInserts(migrated), "test").rows("alerts", alert_rows([fired]))
    mine = partition_of("acme", 4)
    assert ask(stored, probe, {mine}, 4, NOW * 1_000_000, AlertPolicy()) == ([fired], [])
    assert ask(stored, probe, {0, 1, 2, 3} - {mine}, 4, NOW * 1_000_000, AlertPolicy()) == ([], [])
    switched_off = AlertPolicy.from_toml(f"[{probe.name}]\nenabled = false", "my.toml")
    [off] = switched_off.variants(probe.name)
    put(
        migrated,
        "value_windows",
        [window("tenant_model", "24h", NOW // 3600 * 3600, model="m", requests=9, unpriced_requests=9)],
    )
    assert len(found(migrated, probe.name)) == 1
    assert ask(stored, off, {mine}, 4, NOW * 1_000_000, switched_off) == ([fired], [])
    later = NOW * 1_000_000 + DAY_US
    [clear] = judged(probe, [fired], [], later)
    [over] = judged(probe, [clear], [], later + DAY_US)
    assert over.state == "resolved"
    shown = migrated.query("SELECT rule, tenant, state FROM v_alerts").result_rows
    assert shown == [("unpriced_model", "acme", "firing")]


def test_other_numbers_count_for_whom_they_name(migrated: Client) -> None:
    """Two tenants with 9 of 900 requests unpriced; 2 % are allowed to one of them."""
    policy = AlertPolicy.from_toml("[[override]]\ntenants = ['acme']\nunpriced_model.least_share = 0.02", "my.toml")
    end = NOW // 3600 * 3600
    for tenant in ("acme", "other"):
        row = window("tenant_model", "24h", end, model="m", requests=900, unpriced_requests=9)
        put(migrated, "value_windows", [row | {"tenant": tenant}])
    stored = ClickHouseStored(migrated)
    found_by = {
        probe.parameters["least_share_per_mille"]: [
            finding.tenant for finding in ask(stored, probe, range(4), 4, NOW * 1_000_000, policy)[1]
        ]
        for probe in policy.variants("unpriced_model")
    }
    assert found_by == {10: ["other"], 20: []}


@pytest.mark.parametrize("name", BY_NAME)
def test_each_query_takes_the_numbers_of_its_probe(migrated: Client, name: str) -> None:
    """Every number is a parameter of the query or of the alert's life, and the query has no other but the moment and the budgets."""
    query = (files("streams.store") / f"queries/probes/{name}.sql").read_text("utf-8")
    named = set(re.findall(r"\{(\w+):", query)) - {"now", "tenants", "teams", "budgets"}
    assert named == BY_NAME[name].parameters.keys()
