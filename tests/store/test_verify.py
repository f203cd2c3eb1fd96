"""verify finds nothing where the naive oracle's results are stored, and every single change of them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from streams.store.client import Client, connect
from streams.store.verify import TableReport, VerifyReport, verify
from tests.oracle.panes import MEASURES
from tests.oracle.value import DEFAULT_RULES, SAMPLE_PRICES, SINCE_2015, PriceLine, RuleLine
from tests.store.mutations import KEYS, WINDOW_KEY, Mutation, mutate
from tests.store.random_worlds import random_world
from tests.store.right_store import RightStore, insert, moment, renamed
from tests.strategies import World, at, item_event, usage_event

FINAL_AT = at(45, 5)

MONTHS, PARTS_OF_A_MONTH, ROWS_OF_A_PART = 16, 8, 8000
ONE_PART = """
INSERT INTO usage_events
    (kpart, koff, version, event_id, occurred_at, tenant, source, team, actor, tool, model, activity, work_item_id, input_tokens, requests,
     usage_quality, cost_basis, status)
SELECT
    0, number, 1, toString(generateUUIDv4()), toDateTime64('2020-01-15 00:00:00', 6, 'UTC') + toIntervalMonth({month:UInt8}), 'many', 'gateway',
    concat('team-', toString(number % 50)), concat('actor-', toString(number % 100)), 'cli', 'large', 'build', concat('item-', toString(number % 1000)),
    1000, 1, 'full', 'list', 'ok'
FROM numbers({first:UInt64}, {rows:UInt64})
"""


def filled(
    client: Client,
    seed: int,
    worlds: int,
    *,
    with_windows: bool = False,
    prices: list[PriceLine] = SAMPLE_PRICES,
    rules: list[RuleLine] = DEFAULT_RULES,
) -> RightStore:
    rng = random.Random(seed)
    store = RightStore(client, prices, rules)
    for number in range(worlds):
        store.add(renamed(random_world(rng), number), windows_at=FINAL_AT if with_windows else None)
    store.write(watermark=FINAL_AT if with_windows else None)
    return store


def table(report: VerifyReport, name: str) -> TableReport:
    return next(found for found in report.tables if found.table == name)


def differing(report: VerifyReport) -> dict[str, tuple[tuple[str, ...], ...]]:
    return {found.table: found.keys for found in report.tables if found.different or found.uncommitted}


@contextmanager
def running(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def test_right_results_are_found_right(migrated: Client) -> None:
    store = filled(migrated, 1, 1000)
    report = verify(migrated, wait_s=0)
    assert differing(report) == {}
    assert report.ok
    for name in ("usage_events", "work_item_events", "work_item_usage", "work_items", "panes", "pane_actors"):
        assert table(report, name).rows == len(store.rows[name]), name
    assert table(report, "v_spend_fate_daily").rows > 3500
    assert table(report, "fates of a day").rows > 2500
    assert table(report, "checkpoints").rows == 6


def test_right_windows_are_found_right(migrated: Client) -> None:
    store = filled(migrated, 2, 16, with_windows=True)
    report = verify(migrated, wait_s=0)
    assert differing(report) == {}
    assert table(report, "value_windows").rows == len(store.rows["value_windows"]) > 30_000
    assert report.windows_until_s == FINAL_AT // 1_000_000 - 600


def test_prices_and_rules_hold_from_their_day(migrated: Client) -> None:
    day_14, day_28 = at(14, 0), at(28, 0)
    prices = [
        *SAMPLE_PRICES,
        PriceLine(day_14, "large", "", 1_000_000, 100_000, 1_250_000, 2_000_000, 5_000_003),
        PriceLine(day_14, "unlisted", "small"),
        PriceLine(day_28, "", "", 1, 2, 3, 4, 5),
        PriceLine(day_28, "large-latest", "", 7_777_777, 1, 1, 1, 1),
        PriceLine(day_28, "free", "large"),
    ]
    later = [
        line._replace(effective_from=day_14, base_milli=line.base_milli * 2 + (line.kind == "match"))
        for line in DEFAULT_RULES
        if line.patterns != ("docs", "runbook")
    ]
    own = RuleLine(day_14, "reference", 0, ("ads",), 1001, sized=False, work_class="")
    first = RuleLine(SINCE_2015, "reference", 0, ("big",), 13_000, sized=False, work_class="")
    filled(migrated, 3, 600, prices=prices, rules=[*DEFAULT_RULES, first, *later, own])
    assert differing(verify(migrated, wait_s=0)) == {}


def assert_named(report: VerifyReport, name: str, mutations: list[Mutation]) -> None:
    expected = {key: mutation.column for mutation in mutations for key in mutation.keys}
    found = set(table(report, name).keys)
    assert {expected[key] for key in expected.keys() - found} == set(), name
    assert found - expected.keys() == set(), name


def test_every_single_change_is_named(migrated: Client) -> None:
    filled(migrated, 4, 150)
    rng = random.Random(4)
    wanted = {name: mutate(migrated, rng, name) for name in KEYS if name != "value_windows"}
    report = verify(migrated, wait_s=0, keys_named=1000)
    for name, mutations in wanted.items():
        assert_named(report, name, mutations)
    assert table(report, "v_spend_fate_daily").different
    assert not report.ok


def test_every_single_change_of_a_window_is_named(migrated: Client) -> None:
    filled(migrated, 5, 3, with_windows=True)
    mutations = mutate(migrated, random.Random(5), "value_windows")
    report = verify(migrated, wait_s=0, keys_named=1000)
    assert differing(report).keys() == {"value_windows"}
    assert_named(report, "value_windows", mutations)


def test_windows_that_are_missing_late_or_too_many_are_named(migrated: Client) -> None:
    store = filled(migrated, 6, 1, with_windows=True)
    rows = sorted(
        store.rows["value_windows"],
        key=lambda row: (row["size"], row["window_end"], row["grouping"], row["tool"], row["model"], row["team"]),
    )
    not_final, never = rows[7], rows[31]
    insert(
        migrated,
        "value_windows",
        [not_final | {"status": "provisional", "version": 2}, never | {"team": "nobody", "version": 2}],
    )
    # What no final window may say yet, and an all-zero row, differ from nothing.
    insert(migrated, "value_windows", [never | {"window_end": moment(FINAL_AT)[:19], "version": 2}])
    zeros = dict.fromkeys((*MEASURES, "contributors"), 0)
    insert(migrated, "value_windows", [never | zeros | {"team": "zero", "version": 2}])
    report = verify(migrated, wait_s=0)
    keys = {tuple(row[name] for name in WINDOW_KEY) for row in (not_final, never | {"team": "nobody"})}
    assert set(table(report, "value_windows").keys) == keys


def test_without_a_window_agent_windows_are_not_judged(migrated: Client) -> None:
    empty = verify(migrated, wait_s=0)
    assert (empty.rows, empty.ok) == (0, True)
    store = filled(migrated, 7, 5)
    report = verify(migrated, wait_s=0)
    assert (report.windows_until_s, report.note, report.ok) == (None, "", True)
    store.add(renamed(random_world(random.Random(1)), 99), windows_at=FINAL_AT)
    insert(migrated, "value_windows", store.rows["value_windows"][:1])
    assert "has not reached" in verify(migrated, wait_s=0).note


def test_waits_for_the_window_agent(migrated: Client, clickhouse_database: str) -> None:
    store = filled(migrated, 8, 2, with_windows=True)
    behind = store.window_checkpoint(FINAL_AT) | {"version": 2}
    behind["positions"] = [position | {"usage_next": position["usage_next"] - 1} for position in behind["positions"]]
    insert(migrated, "window_checkpoints", [behind])
    late = verify(migrated, wait_s=0)
    assert "has not reached" in late.note
    assert not late.ok
    assert table(late, "value_windows").rows == 0

    def catch_up() -> None:
        time.sleep(1)
        with closing(connect(clickhouse_database)) as other:
            insert(other, "window_checkpoints", [store.window_checkpoint(FINAL_AT) | {"version": 3}])

    with running(catch_up):
        report = verify(migrated, wait_s=30)
    assert report.ok
    assert table(report, "value_windows").rows > 0


def test_what_moved_on_is_compared_again_at_a_later_position(migrated: Client, clickhouse_database: str) -> None:
    """A flush is half written when the first comparison happens: rows beyond the position. Then it is committed."""
    store = RightStore(migrated)
    before = usage_event("u1", at(0), work_item_id="I-1")
    store.add(World([before], [item_event("w1", at(0), "completed", item_type="story")], at(0)))
    store.write()
    grown = RightStore(migrated)
    grown.add(
        World(
            [before, usage_event("u2", at(0), work_item_id="I-1", actor="a2", output_tokens=77)],
            [item_event("w1", at(0), "completed", item_type="story")],
            at(0),
        )
    )
    position = {"usage_next": 2, "items_next": 1, "version": 1 << 40 | 2}
    part = grown.rows["work_items"][0]["kpart"]
    for name in ("usage_events", "work_item_events", "work_item_usage", "work_items", "panes", "pane_actors"):
        covering = position if "usage_next" in grown.rows[name][0] else {"version": position["version"]}
        insert(migrated, name, [row | covering for row in grown.rows[name]])
    half = verify(migrated, wait_s=0)
    assert half.ok
    assert [found.table for found in half.tables if found.uncommitted] == [
        "work_item_usage",
        "work_items",
        "panes",
        "pane_actors",
        "v_spend_fate_daily",
    ]

    def commit() -> None:
        time.sleep(1)
        with closing(connect(clickhouse_database)) as other:
            insert(other, "checkpoints", [grown.checkpoint(part) | {"version": position["version"]}])

    with running(commit):
        report = verify(migrated, wait_s=30)
    assert report.ok, differing(report)


def test_an_identity_that_was_accepted_twice_is_named_and_counts_once(migrated: Client) -> None:
    store = filled(migrated, 9, 20)
    twice = store.rows["usage_events"][3]
    position = {"koff": 10_000, "team": "elsewhere", "requests": 99}
    insert(migrated, "usage_events", [twice | position])
    checkpoint = store.checkpoint(twice["kpart"])
    insert(
        migrated,
        "checkpoints",
        [
            checkpoint
            | {
                "usage_next": 10_001,
                "usage_missing": 10_000 - checkpoint["usage_next"],
                "usage_applied": checkpoint["usage_applied"] + 1,
                "version": 1 << 40 | 2,
            }
        ],
    )
    report = verify(migrated, wait_s=0)
    assert differing(report) == {"usage_events": ((str(twice["kpart"]), twice["tenant"], twice["event_id"]),)}


def test_records_that_do_not_add_up_are_named(migrated: Client) -> None:
    store = filled(migrated, 10, 5)
    wrong = (("usage_applied", "items_applied"), ("usage_duplicates", "items_missing"), ("usage_dead", "items_begin"))
    for part, columns in enumerate(wrong):
        checkpoint = store.checkpoint(part)
        changed = {column: checkpoint[column] + 1 for column in columns}
        insert(migrated, "checkpoints", [checkpoint | changed | {"version": 1 << 40 | 2}])
    topics = ("usage-events", "work-item-events")
    assert differing(verify(migrated, wait_s=0)) == {
        "checkpoints": tuple((topic, str(part)) for topic in topics for part in range(3))
    }


@pytest.mark.parametrize(("worlds", "rows_per_chunk", "with_windows"), [(60, 250, False), (2, 8000, True)])
def test_work_in_small_chunks_comes_to_the_same(
    migrated: Client, worlds: int, rows_per_chunk: int, with_windows: bool
) -> None:
    filled(migrated, 11, worlds, with_windows=with_windows)
    mutate(migrated, random.Random(11), "value_windows" if with_windows else "work_items")
    whole = verify(migrated, wait_s=0, keys_named=1000)
    chunked = verify(migrated, wait_s=0, keys_named=1000, rows_per_chunk=rows_per_chunk, max_memory_bytes=300 << 20)
    assert whole.different > 15
    assert whole.tables == chunked.tables


def test_memory_follows_a_month_and_not_all_parts(migrated: Client) -> None:
    filled(migrated, 13, 1)
    migrated.command("SYSTEM STOP MERGES usage_events")
    for part in range(MONTHS * PARTS_OF_A_MONTH):
        migrated.command(
            ONE_PART, {"month": part % MONTHS, "first": 1000 + part * ROWS_OF_A_PART, "rows": ROWS_OF_A_PART}
        )
    rows = MONTHS * PARTS_OF_A_MONTH * ROWS_OF_A_PART
    migrated.command("INSERT INTO checkpoints SELECT * REPLACE (usage_next + {rows:Int64} AS usage_next, version + 1 AS version) FROM checkpoints FINAL WHERE kpart = 0", {"rows": 1000 + rows})  # fmt: skip
    report = verify(migrated, wait_s=0, max_memory_bytes=200 << 20)
    assert table(report, "work_item_usage").different == MONTHS * 1000


def test_leaves_nothing_behind(migrated: Client, clickhouse_url: str) -> None:
    filled(migrated, 12, 2)
    shown: list[tuple[str, float]] = []
    verify(migrated, wait_s=0, progress=lambda what, share: shown.append((what, share)))
    assert shown[-1] == ("done", 1.0)
    assert [share for _, share in shown] == sorted(share for _, share in shown)
    migrated.command("DROP TABLE panes")
    with pytest.raises(DatabaseError):
        verify(migrated, wait_s=0)
    with closing(connect(f"{clickhouse_url}/default")) as client:
        names = [name for (name,) in client.query("SHOW DATABASES").result_rows]
    assert [name for name in names if name.startswith(f"{migrated.database}_verify")] == []
