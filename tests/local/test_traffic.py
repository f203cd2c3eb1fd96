"""The demo's traffic: decided by its seed, acceptable to every worker, and in the proportions that the demo's story needs."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from datetime import UTC, datetime

import polars as pl
import pytest

from streams.events.bounds import ACTIVITIES, COST_BASES, KINDS, LINK_TYPES, MAX_TOKENS, USAGE_QUALITIES
from streams.events.schemas import latest
from streams.local.traffic import TENANT, Traffic, last_monday_us, make_traffic
from streams.local.traffic.bad import BAD_RECORDS
from streams.local.traffic.records import records
from streams.publish.columns import Record
from streams.value.prices import PriceBook
from streams.windows.measures import DAY_US, HOUR_US, TOKEN_BUCKETS
from tests.oracle.value import PriceLine
from tests.oracle.world import Results, world

END_US = last_monday_us(datetime(2026, 11, 25, 14, 30, tzinfo=UTC))
EVENTS = 24_000


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return make_traffic(seed=7, days=28, teams=12, events=EVENTS, end_us=END_US)


@pytest.fixture(scope="module")
def results(traffic: Traffic) -> Results:
    prices = [PriceLine(*row.values()) for row in PriceBook.shipped().rows_for_tables()]
    usage, items = traffic.usage.to_dicts(), traffic.items.to_dicts()
    return world(usage, items, prices)


@pytest.fixture(scope="module")
def spend(traffic: Traffic) -> dict[tuple[str, int], float]:
    """USD by team and week."""
    costs = traffic.usage.with_columns(cost=PriceBook.shipped().standard_cost(traffic.usage)[0])
    week = (pl.col("occurred_at") - traffic.begin_us) // (7 * DAY_US)
    sums = costs.group_by("team", week.alias("week")).agg(pl.col("cost").sum() / 1e6)
    return {(team, week): cost for team, week, cost in sums.iter_rows()}


def flat(traffic: Traffic, partitions: int = 4) -> list[Record]:
    return [record for chunk in records(traffic, partitions) for record in chunk]


def test_ends_at_the_last_monday_midnight() -> None:
    assert datetime.fromtimestamp(END_US / 1e6, UTC) == datetime(2026, 11, 23, tzinfo=UTC)
    assert last_monday_us(datetime(2026, 11, 23, 0, 0, tzinfo=UTC)) == END_US


def test_a_seed_decides_everything(traffic: Traffic) -> None:
    again = make_traffic(seed=7, days=28, teams=12, events=EVENTS, end_us=END_US)
    assert again.usage.equals(traffic.usage)
    assert again.items.equals(traffic.items)
    assert flat(again) == flat(traffic)
    other = make_traffic(seed=8, days=28, teams=12, events=EVENTS, end_us=END_US)
    assert not other.usage.equals(traffic.usage)


def test_another_week_brings_the_same_figures(traffic: Traffic, spend: dict[tuple[str, int], float]) -> None:
    """Prices are dated, so costs may differ; what happens when must not."""
    later = make_traffic(seed=7, days=28, teams=12, events=EVENTS, end_us=END_US + 7 * DAY_US)
    assert (later.usage["occurred_at"] - 7 * DAY_US).equals(traffic.usage["occurred_at"])
    assert later.usage["work_item_id"].equals(traffic.usage["work_item_id"])


def test_events_fit_the_schemas_and_the_bounds(traffic: Traffic) -> None:
    usage, items = traffic.usage, traffic.items
    assert usage.columns == [field["name"] for field in latest("usage_event")["fields"]]
    assert items.columns == [field["name"] for field in latest("work_item_event")["fields"]]
    assert len(usage) == EVENTS
    assert usage["event_id"].n_unique() == EVENTS
    assert items["event_id"].n_unique() == len(items)
    for name in (*TOKEN_BUCKETS, "reasoning_tokens"):
        assert usage[name].is_between(0, MAX_TOKENS).all()
    assert (usage["reasoning_tokens"] <= usage["output_tokens"]).all()
    assert usage["occurred_at"].max() < END_US  # type: ignore[operator]
    assert set(usage["activity"]) <= set(ACTIVITIES)
    assert set(usage["usage_quality"]) == set(USAGE_QUALITIES)
    assert set(usage["cost_basis"]) <= set(COST_BASES)
    assert set(KINDS) - {"deleted", "moved"} <= set(items["kind"]) <= set(KINDS)
    assert set(items["link_type"].drop_nulls()) <= set(LINK_TYPES)
    assert {"team", "tenant", "work_item_id"} <= set(items.columns)
    assert items["occurred_at"].is_sorted()


def test_the_company_spends_twenty_thousand_dollars_in_28_days(spend: dict[tuple[str, int], float]) -> None:
    assert 19_000 < sum(spend.values()) < 22_500


def test_spend_does_not_depend_on_the_number_of_events(spend: dict[tuple[str, int], float]) -> None:
    dense = make_traffic(seed=7, days=28, teams=12, events=10 * EVENTS, end_us=END_US)
    cost = int(PriceBook.shipped().standard_cost(dense.usage)[0].sum()) / 1e6
    assert cost == pytest.approx(sum(spend.values()), rel=0.03)


def test_most_raw_tokens_are_cache_reads(traffic: Traffic) -> None:
    sums = traffic.usage.select(pl.col(TOKEN_BUCKETS).sum()).row(0, named=True)
    assert 0.80 < sums["cache_read_tokens"] / sum(sums.values()) < 0.97


def test_fates_are_in_proportion(results: Results, traffic: Traffic) -> None:
    sums: Counter[str] = Counter()
    for key, found in results.fates(traffic.end_us + 3 * DAY_US).items():
        sums[key.fate] += found["standard_cost_micro_usd"]
    total = sum(sums.values())
    share = {fate: 100 * cost / total for fate, cost in sums.items()}
    wanted: dict[str, tuple[float, float]] = {
        "core": (35, 46),
        "supporting": (10, 17),
        "low_value": (11, 18),
        "in_flight": (6, 14),
        "enabling": (7, 11),
        "unattributed": (5, 10),
        "canceled": (1.5, 6),
        "stalled": (0.2, 2),
        "unknown_item": (0.1, 1),
        "after_close": (0.02, 1),
        "excluded": (0.3, 3),
    }
    assert set(share) == set(wanted)
    for fate, (low, high) in wanted.items():
        assert low <= share[fate] <= high, (fate, share)


def test_core_work_of_ordinary_weeks_is_steady(results: Results, traffic: Traffic) -> None:
    core: defaultdict[int, float] = defaultdict(float)
    for item in results.items.values():
        for booking in item.bookings:
            if booking.work_class == "core":
                net = booking.measures.get("value_credited_milli", 0) - booking.measures.get("value_debited_milli", 0)
                core[(booking.at - traffic.begin_us) // (7 * DAY_US)] += net / 1000
    for week in range(4):
        assert 170 < core[week] < 240, dict(core)


def test_rules_know_most_items(results: Results) -> None:
    """Of completed items; above 20 % without a rule the product would not give verdicts."""
    states = [
        i.verdict.kind for i in results.items.values() if i.state == "completed" and i.verdict.work_class != "excluded"
    ]
    assert 0.01 < states.count("unclassified") / len(states) < 0.10


def test_episodes_show_in_the_usage(traffic: Traffic, spend: dict[tuple[str, int], float]) -> None:
    kinds = {episode.kind: episode for episode in traffic.labelled}
    assert set(kinds) == {"low_value_burn", "agent_loop", "context_bloat", "busywork", "link_lost"}
    for team in ("search", "ads-ui", "data-platform"):
        assert spend[team, 3] > 1.6 * spend[team, 2], team
    loop = kinds["agent_loop"]
    burst = traffic.usage.filter(
        pl.col("team") == "ads-ui",
        pl.col("work_item_id").is_null(),
        pl.col("occurred_at").is_between(loop.begin_us, loop.begin_us + HOUR_US),
    )
    assert PriceBook.shipped().standard_cost(burst)[0].sum() > 250_000_000
    assert burst["prompt_fingerprint"].drop_nulls().n_unique() < len(burst) / 2
    lost = kinds["link_lost"]
    during = traffic.usage.filter(
        pl.col("team") == "growth", pl.col("occurred_at").is_between(lost.begin_us, lost.end_us)
    )
    assert during["work_item_id"].null_count() > 0.6 * len(during)


def test_quiet_events_are_labelled_as_such(traffic: Traffic) -> None:
    quiet = {episode.kind for episode in traffic.episodes if not episode.rules}
    assert quiet == {"release_week", "holiday", "incident_night", "bulk_close"}


def test_too_short_traffic_has_no_episodes() -> None:
    short = make_traffic(seed=1, days=10, teams=3, events=900, end_us=END_US)
    assert short.episodes == ()
    assert len(short.usage) == 900


@pytest.mark.parametrize(("teams", "people"), [(1, 10), (5, 47), (30, 230)])
def test_scales_with_teams(teams: int, people: int) -> None:
    made = make_traffic(seed=1, days=7, teams=teams, events=3_000, end_us=END_US)
    assert made.usage["team"].n_unique() == teams
    assert made.people == pytest.approx(people, abs=25)
    assert len({team.key for team in made.teams}) == teams


def test_records_hold_every_event_once_some_twice_and_the_bad_ones(traffic: Traffic) -> None:
    published = flat(traffic)
    good = len(traffic.usage) + len(traffic.items)
    extra = len(published) - good - BAD_RECORDS
    assert 0.012 * good < extra < 0.03 * good
    per_value = Counter(record.value for record in published)
    assert len(per_value) >= good
    assert max(count for value, count in per_value.items() if value) == 2
    assert sum(record.partition is not None for record in published) in (1, 2)
    for record in published:
        assert record.key.startswith(TENANT.encode() + b"/")


def test_records_come_roughly_in_the_order_of_event_time(traffic: Traffic) -> None:
    ids = dict(traffic.usage.select("event_id", "occurred_at").iter_rows())
    times = []
    for record in flat(traffic):
        if record.topic == "usage-events" and record.value and record.value[5:6] == b"\x20":
            at = ids.get(record.value[6:22].decode())
            if at is not None:
                times.append(at)
    assert len(times) > EVENTS
    latest_so_far, late = 0, 0
    for at in times:
        late += at < latest_so_far - 10 * 60_000_000
        latest_so_far = max(latest_so_far, at)
    assert 0.002 * len(times) < late < 0.05 * len(times)


def test_is_fast_enough() -> None:
    begin = time.process_time()
    made = make_traffic(seed=3, days=28, teams=12, events=300_000, end_us=END_US)
    count = sum(len(chunk) for chunk in records(made, 4))
    assert count > 300_000
    assert time.process_time() - begin < 10
