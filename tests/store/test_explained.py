"""What is asked about an alert, on the engine."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from streams.deliver.notice import Chart
from streams.deliver.reasons import UNEXPLAINED, Usage
from streams.detect.alert import Alert, alert_rows
from streams.store.client import Client
from streams.store.explained import CHARTED, explain, load_lines
from streams.store.reading import ClickHouseStored
from streams.store.windows import window_rows
from streams.windows.families import WINDOW_SCHEMA
from streams.windows.measures import DAY_US, HOUR_US
from tests.deliver.made import alert
from tests.deliver.test_crashes import World, worker
from tests.detect.made import T0, USD, Company, Hour

FIRED = T0 + 35 * DAY_US
MINUTE_US = 60_000_000


def fired(rule: str = "spend_runaway", size: str = "1h", **more: Any) -> Alert:
    return alert(rule=rule, size=size, started_at=FIRED - HOUR_US, fired_at=FIRED, window_end=FIRED, **more)


def at(t_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t_us)


def pane(
    migrated: Client, t_us: int, tool: str, usage: Usage, *, kpart: int = 0, version: int = 1, team: str = "search"
) -> None:
    row = {
        "kpart": kpart,
        "tenant": "acme",
        "team": team,
        "tool": tool,
        "model": "large",
        "pane_start": at(t_us),
        "requests": usage.requests,
        "tokens": usage.tokens,
        "standard_cost_micro_usd": usage.cost,
        "unattributed_standard_cost_micro_usd": usage.unattributed,
        "repeated_prompts": usage.repeated,
        "version": version,
    }  # fmt: skip
    migrated.insert("panes", [list(row.values())], column_names=list(row))


def company(migrated: Client, windows: Company) -> None:
    frame = windows.windows().filter(pl.col("window_end") <= FIRED)
    missing = [
        pl.lit(0 if WINDOW_SCHEMA[name] != pl.String else "").alias(name)
        for name in WINDOW_SCHEMA
        if name not in frame.columns
    ]
    rows = frame.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in WINDOW_SCHEMA.items())
    migrated.insert_arrow("value_windows", window_rows(rows, 1, 1).to_arrow())


def test_the_usual_is_the_same_hour_of_other_weeks(migrated: Client) -> None:
    one = Usage(1, 100, 10, 4, 1)
    for weeks, times in enumerate((40, 1, 3, 1000, 5)):  # now, then one to four weeks before
        for late_us in (5 * MINUTE_US, HOUR_US):  # the last and the first pane of the hour
            pane(migrated, FIRED - weeks * 7 * DAY_US - late_us, "chat", Usage(*(times * figure for figure in one)))
    pane(migrated, FIRED, "chat", one)  # after it
    pane(migrated, FIRED - HOUR_US - 5 * MINUTE_US, "chat", one)  # before it
    pane(migrated, FIRED - HOUR_US, "chat", one, team="ads")
    pane(migrated, FIRED - HOUR_US, "agent", one, kpart=1)
    pane(migrated, FIRED - HOUR_US, "agent", Usage(7, 700, 70, 0, 0), kpart=1, version=2)  # replaces the line before
    now, usual = load_lines(ClickHouseStored(migrated), fired())
    assert now == {("chat", "large"): Usage(80, 8000, 800, 320, 80), ("agent", "large"): Usage(7, 700, 70, 0, 0)}
    assert usual == {("chat", "large"): Usage(8, 800, 80, 32, 8)}  # the mean of 3 and 5, twice

    found = explain(ClickHouseStored(migrated), fired())
    assert found.begin_with == "model large through chat"
    assert found.reasons[0].text.startswith("91 % of the rise: model large through chat (+$0.00), 10 times")
    assert found.chart is None  # no windows are stored


def test_weeks_before_a_team_began_are_not_usual(migrated: Client) -> None:
    stored, one = ClickHouseStored(migrated), Usage(1, 100, 10)
    assert load_lines(stored, fired()) == ({}, None)
    for weeks in range(3):
        pane(migrated, FIRED - weeks * 7 * DAY_US - HOUR_US, "chat", one)
    assert load_lines(stored, fired()) == ({("chat", "large"): one}, {("chat", "large"): one})
    assert load_lines(stored, fired(size="7d"))[1] == {("chat", "large"): one}
    assert explain(stored, fired(team="nobody")) == UNEXPLAINED


def test_core_work_in_flight_may_explain_a_week(migrated: Client) -> None:
    stored = ClickHouseStored(migrated)
    for weeks in range(5):
        spend = 1000 * USD if weeks == 0 else 400 * USD
        pane(migrated, FIRED - weeks * 7 * DAY_US - DAY_US, "chat", Usage(100, 10**6, spend))
    items = [("a", "open", "core", 0), ("b", "open", "core", 0), ("c", "completed", "core", 0), ("d", "open", "low_value", 0), ("e", "open", "core", 1)]  # fmt: skip
    names = ["kpart", "tenant", "work_item_id", "state", "work_class", "container"]
    migrated.insert("work_items", [[0, "acme", *item] for item in items], column_names=names)
    used = [(0, item[0], "search", 1, 100) for item in items] + [(0, "a", "search", 8, 999), (0, "b", "ads", 1, 999)]
    used.append((1, "a", "search", 1, 999))  # of another item
    migrated.insert(
        "work_item_usage",
        [
            [kpart, "acme", item, team, at(FIRED - days * DAY_US).date(), cost * USD]
            for kpart, item, team, days, cost in used
        ],
        column_names=["kpart", "tenant", "work_item_id", "team", "usage_day", "standard_cost_micro_usd"],
    )
    week = fired("spend_up_core_flat", "7d", spend_micro_usd=1000 * USD)
    assert [reason.text for reason in explain(stored, week).reasons] == [
        "all of the rise: model large through chat (+$600)",
        "price: tokens at 2.5 times the usual price (+$600)",
        "core work in flight: 2 items hold $200 of it, which may still pay off",
    ]


def test_low_value_work_is_told_by_its_type(migrated: Client) -> None:
    def item(name: str, kind: str, team: str, days: int, cost: int) -> list[Any]:
        zeros = dict.fromkeys(booking, 0)
        made = {**zeros, "at": at(FIRED - days * DAY_US), "team": team, "work_class": "low_value"}
        made |= {"kind": "credit", "tool": "", "model": "", "matched_standard_cost_micro_usd_credited": cost * USD}
        return [0, "acme", name, kind, at(FIRED - days * DAY_US), [tuple(made.values())]]

    (described,) = migrated.query("SELECT type FROM system.columns WHERE table = 'work_items' AND name = 'bookings' AND database = currentDatabase()").result_rows  # fmt: skip
    booking = [part.split()[0] for part in described[0].removeprefix("Array(Tuple(").split(", ") if " " in part]
    rows = [
        item("a", "chore", "search", 1, 70),
        item("b", "chore", "search", 6, 20),
        item("c", "docs", "search", 2, 30),
    ]
    rows += [item("d", "docs", "ads", 1, 500), item("e", "docs", "search", 8, 500)]
    names = ["kpart", "tenant", "work_item_id", "item_type", "last_event_at", "bookings"]
    migrated.insert("work_items", rows, column_names=names)
    found = explain(ClickHouseStored(migrated), fired("low_value_share", "7d", unit="per_mille"))
    assert [reason.text for reason in found.reasons] == [
        "75 % of it: 2 items of type chore, $90.00",
        "25 % of it: 1 item of type docs, $30.00",
    ]


def test_silence_is_told_with_who_else_is_silent(migrated: Client) -> None:
    teams = [f"team{n}" for n in range(4)]

    def tell(team: str, hour: int) -> Hour | None:
        back = 35 * 24 - 1 - hour
        return Hour(requests=100 if team != "team3" else 3) if (back and (back < 5)) or team == "team2" else None

    company(migrated, Company(teams, 35 * 24, tell))
    silent = fired("feed_silent", team="team0", unit="milli_requests", baseline=100_000, threshold=2_000)
    found = explain(ClickHouseStored(migrated), silent)
    assert [reason.text for reason in found.reasons] == [
        "2 of 3 teams that were at work fell silent: rather the platform than the team"
    ]
    assert found.chart is not None
    assert found.chart.values == (*[0] * 19, *[100_000] * 4, 0)


def test_the_chart_shows_the_figure_that_is_judged(migrated: Client) -> None:
    """One hour of $50 at the end of weeks of $2 an hour, half of them without work items."""
    last = 35 * 24 - 1
    company(migrated, Company(["search"], last + 1, lambda _, hour: Hour(50 if hour == last else 2, 1)))

    def chart(rule: str, size: str) -> tuple[str, int, tuple[int, ...]]:
        found = explain(ClickHouseStored(migrated), fired(rule, size)).chart
        assert found is not None
        assert found.level == fired().threshold
        return found.what, found.begun, found.values

    hours = (2 * USD,) * 23 + (50 * USD,)
    assert chart("spend_runaway", "1h") == ("AI spend, last 24 hours", 22, hours)
    assert chart("of a later version", "1h") == ("AI spend, last 24 hours", 22, hours)
    assert chart("unattributed_surge", "24h") == ("share without work items, last 24 days", 23, (500,) * 23 + (250,))
    what, begun, values = chart("spend_up_core_flat", "7d")
    assert (what, begun, len(values)) == ("7-day AI spend without enabling work, last 24 days", 23, CHARTED)
    assert values[-1] - values[-2] == 48 * USD


class Behind(World):
    """The world of the crash tests, with the engine behind what is asked about an alert."""

    stored: ClickHouseStored

    def read(self, name: str, **parameters: Any) -> pl.DataFrame:
        own = name in {"alerts/told", "alerts/deliveries"}
        return super().read(name, **parameters) if own else self.stored.read(name, **parameters)


def test_a_notice_tells_what_was_found(migrated: Client) -> None:
    world = Behind(frozenset(), now=FIRED + HOUR_US)
    world.stored = ClickHouseStored(migrated)
    company(migrated, Company(["search"], 35 * 24, lambda _, hour: Hour(1) if hour >= 34 * 24 else None))
    for weeks, requests in ((0, 90), (1, 10)):
        pane(migrated, FIRED - weeks * 7 * DAY_US - HOUR_US, "chat", Usage(requests, requests * 1000, requests * USD))
    told = fired(deliver=True)
    world.rows("alerts", alert_rows([told]))
    deliverer = worker(world)
    deliverer._explainer._deadline_s = 60.0  # a busy machine
    asyncio.run(deliverer.round())
    assert {name for name, _ in world.received} == {"a", "b"}
    for _, sent in world.received:
        facts = dict(sent.facts)
        assert facts["Likely"] == "all of the rise: model large through chat (+$80.00), 9.0 times its usual requests"
        assert facts["Next"].startswith(
            "Begin with model large through chat; `tokenworth windows --team search --size 1h --by tool`"
        )
        assert sent.chart is not None
        assert facts["History"].startswith("█" * 24)


def test_a_question_that_fails_leaves_the_others(migrated: Client) -> None:
    company(migrated, Company(["search"], 35 * 24, lambda _, hour: Hour(1) if hour > 34 * 24 else None))
    migrated.command("DROP TABLE panes")
    found = explain(ClickHouseStored(migrated), fired())
    assert found.reasons == ()
    assert isinstance(found.chart, Chart)
