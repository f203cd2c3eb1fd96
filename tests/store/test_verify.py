"""verify finds nothing where the naive oracle's results are stored, and every single change of them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

from streams.store.client import Client, connect
from streams.store.verify import TableReport, VerifyReport, verify
from tests.oracle.value import DEFAULT_RULES, SAMPLE_PRICES, SINCE_2015, PriceLine, RuleLine
from tests.store.mutations import KEYS, mutate
from tests.store.random_worlds import random_world
from tests.store.right_store import RightStore, insert, renamed
from tests.strategies import DAY_US, World, at, item_event, usage_event

FINAL_AT = at(45, 5)


def filled(client: Client, seed: int, worlds: int, *, with_windows: bool = False, prices: list[PriceLine] = SAMPLE_PRICES, rules: list[RuleLine] = DEFAULT_RULES) -> RightStore:
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


def test_right_results_are_found_right(migrated: Client) -> None:
    store = filled(migrated, 1, 1200)
    report = verify(migrated, wait_s=0)
    assert differing(report) == {}
    assert report.ok
    for name in ("usage_events", "work_item_events", "work_item_usage", "work_items", "panes", "pane_actors"):
        assert table(report, name).rows == len(store.rows[name]), name
    assert table(report, "v_spend_fate_daily").rows > 4000
    assert table(report, "fates of a day").rows > 3000
    assert table(report, "checkpoints").rows == 6


def test_right_windows_are_found_right(migrated: Client) -> None:
    store = filled(migrated, 2, 25, with_windows=True)
    report = verify(migrated, wait_s=0)
    assert differing(report) == {}
    assert table(report, "value_windows").rows == len(store.rows["value_windows"]) > 50_000
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
    later = [line._replace(effective_from=day_14, base_milli=line.base_milli * 2 + (line.kind == "match")) for line in DEFAULT_RULES if line.patterns != ("docs", "runbook")]
    own = RuleLine(day_14, "reference", 0, ("ads",), 1001, sized=False, work_class="")
    first = RuleLine(SINCE_2015, "reference", 0, ("big",), 13_000, sized=False, work_class="")
    filled(migrated, 3, 600, prices=prices, rules=[*DEFAULT_RULES, first, *later, own])
    assert differing(verify(migrated, wait_s=0)) == {}


@pytest.mark.parametrize("seed", [1, 2])
def test_every_single_change_is_named(migrated: Client, seed: int) -> None:
    filled(migrated, seed, 150)
    rng = random.Random(seed)
    wanted = {name: mutate(migrated, rng, name) for name in KEYS if name != "value_windows"}
    report = verify(migrated, wait_s=0, keys_named=1000)
    for name, mutations in wanted.items():
        expected = {key: m.column for m in mutations for key in m.keys}
        found = set(table(report, name).keys)
        assert {expected[key] for key in expected.keys() - found} == set(), name
        assert found - expected.keys() == set(), name
    assert table(report, "v_spend_fate_daily").different
    assert not report.ok
