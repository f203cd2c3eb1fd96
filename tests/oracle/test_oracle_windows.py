"""Worked examples of the ledger, panes, fates and windows, computed by hand from VALUE.md §1, §8 and DESIGN.md §6."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings

from tests.oracle.windows import WindowKey, window_ends
from tests.oracle.world import world
from tests.strategies import DAY_0, DAY_US, MINUTE_US, Event, World, at, item_event, usage_event, worlds

FAR = at(400)
GIVEN = ("credited", "credited_milli", "booked")
TAKEN = ("debited", "debited_milli", "reversed")


def _given(name: str) -> str:
    """The measure that a debit or a reversal takes back."""
    return name.replace("debited", "credited").replace("reversed", "booked")


def only_pane(*usage: Event) -> dict[str, int]:
    (found,) = world(usage, []).panes.values()
    return found


def test_a_line_sums_a_day() -> None:
    usage = [
        usage_event("u1", at(0, 0), work_item_id="I-1", output_tokens=10, reasoning_tokens=4, cost_micro_usd=7),
        usage_event("u2", at(0, 23), work_item_id="I-1", requests=5, usage_quality="unknown", cost_micro_usd=9),
        usage_event("u3", at(0, 9), work_item_id="I-1", usage_quality="partial", cost_micro_usd=8, cost_basis="seat"),
        usage_event("u4", at(1, 0), work_item_id="I-1"),
        usage_event("u5", at(0), session_id="s"),
    ]
    results = world([*usage, usage[0] | {"input_tokens": 5}], [])
    assert [key.day - DAY_0 for key in results.ledger] == [0, 1]
    line = next(iter(results.ledger.values()))
    assert line.last_at == at(0, 23)
    assert line.measures == {
        "requests": 7,
        "known_requests": 2,
        "incomplete_events": 2,
        "input_tokens": 2000,
        "cache_read_tokens": 0,
        "cache_write_5m_tokens": 0,
        "cache_write_1h_tokens": 0,
        "output_tokens": 10,
        "reasoning_tokens": 4,
        "tokens": 2010,
        "standard_cost_micro_usd": 30_750,
        "cost_micro_usd": 7,
        "other_cost_micro_usd": 8,
    }


def test_unknown_usage_counts_requests_only() -> None:
    event = usage_event(
        "u", at(0), usage_quality="unknown", requests=4, status="timeout", model="new", cost_micro_usd=5, session_id="s"
    )
    expected = ("requests", "failed_requests", "unknown_requests", "unpriced_requests", "unattributed_requests")
    assert only_pane(event) == dict.fromkeys(expected, 4)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"activity": "build"}, "unattributed"),
        ({"activity": "automation"}, "unattributed"),
        ({"activity": "review"}, "enabling"),
        ({"activity": "operate"}, "enabling"),
        ({"activity": "explore"}, "enabling"),
        ({"activity": "review", "work_item_id": "I-1"}, ""),
    ],
)
def test_usage_without_an_item_is_enabling_or_unattributed(changes: Event, name: str) -> None:
    found = only_pane(usage_event("u", at(0), cost_micro_usd=1, **changes))
    expected = {
        "requests": 1,
        "input_tokens": 1000,
        "tokens": 1000,
        "standard_cost_micro_usd": 15_000,
        "cost_micro_usd": 1,
    }
    if name:
        expected |= {f"{name}_requests": 1, f"{name}_tokens": 1000, f"{name}_standard_cost_micro_usd": 15_000}
    assert found == expected


def test_repeated_prompts_are_requests_beyond_the_distinct_ones() -> None:
    same = {"prompt_fingerprint": "f", "session_id": "s"}
    usage = [
        usage_event("u1", at(0), **same, requests=3),
        usage_event("u2", at(0), **same),
        usage_event("u3", at(0), **(same | {"actor": "a2"})),
        usage_event("u4", at(0), **(same | {"session_id": "t"})),
        usage_event("u5", at(0), session_id="s", requests=9),
    ]
    # 3 + 1 + 1 + 1 requests, of (s, a1), (s, a2), (t, a1)
    assert only_pane(*usage)["repeated_prompts"] == 3
    nobody = usage_event("u7", at(0), **(same | {"actor": ""}))
    assert only_pane(*usage, nobody)["repeated_prompts"] == 3
    later = usage_event("u6", at(0, 12, 5), **same)
    assert [found.get("repeated_prompts", 0) for found in world([*usage, later], []).panes.values()] == [3, 0]


def test_panes_are_five_minutes_long() -> None:
    usage = [usage_event(f"u{n}", at(0, 9, 5, us)) for n, us in enumerate((-1, 0, 5 * MINUTE_US - 1, 5 * MINUTE_US))]
    assert sorted(key.start for key in world(usage, []).panes) == [at(0, 9, 0), at(0, 9, 5), at(0, 9, 10)]


@pytest.mark.parametrize(("size", "count"), [("1h", 12), ("24h", 24), ("7d", 28), ("28d", 28)])
def test_each_pane_is_in_size_over_slide_windows(size: str, count: int) -> None:
    for start in (at(0, 0), at(0, 9, 55), at(1, 23, 55)):
        assert len(window_ends(start, size)) == count


def test_windows_end_on_multiples_of_the_slide() -> None:
    assert list(window_ends(at(0, 9, 55), "24h"))[::23] == [at(0, 10), at(1, 9)]
    assert list(window_ends(at(0, 0), "24h"))[::23] == [at(0, 1), at(1, 0)]
    assert list(window_ends(at(0, 9, 55), "1h"))[::11] == [at(0, 10), at(0, 10, 55)]


def test_groupings_keep_their_own_part_of_the_key() -> None:
    usage = [
        usage_event("u1", at(0, 9), work_item_id="I-1", requests=3, input_tokens=2000),
        usage_event("u2", at(0, 9), team="ads", actor="a2", tool="ide"),
        usage_event("u3", at(0, 9), team="ads", actor=""),
    ]
    done = item_event("w", at(0, 9, 30), "completed", item_type="story", team="pay")
    found = world(usage, [done]).windows(FAR)

    def window(grouping: str, **kept: Any) -> dict[str, int]:
        group = {"team": "", "tool": "", "model": "", "work_class": ""} | kept
        return found[WindowKey("acme", grouping, **group, size="1h", end=at(0, 10))]

    assert (window("tenant")["requests"], window("tenant")["contributors"]) == (5, 2)
    assert window("tenant")["value_credited_milli"] == 1000
    assert window("team", team="pay")["contributors"] == window("team", team="ads")["contributors"] == 1
    assert window("team_tool", team="ads", tool="cli").get("contributors", 0) == 0
    assert window("tenant_tool", tool="cli")["requests"] == 4
    assert window("tenant_model", model="large")["items_completed"] == 1
    core = window("team_class", team="pay", work_class="core")
    assert (core["value_credited_milli"], core.get("requests", 0), core["contributors"]) == (1000, 0, 1)
    usage_row = window("tenant_class", work_class="")
    assert (usage_row["requests"], usage_row.get("items_completed", 0), usage_row["contributors"]) == (5, 0, 2)


def test_a_window_is_final_ten_minutes_after_its_end() -> None:
    results = world([usage_event("u", at(0, 9))], [])
    assert results.windows(at(0, 9, 15) - 1) == {}
    assert {key.end for key in results.windows(at(0, 9, 15))} == {at(0, 9, 5)}
    assert len(results.windows(at(60))) == (12 + 24 + 28 + 28) * 8


def fate(*events: Event, day: int = 0, watermark: int = FAR) -> str:
    usage = usage_event("u", at(day), work_item_id="I-1")
    ((key, amounts),) = world([usage], events).fates(watermark).items()
    assert (key.team, key.day, amounts["tokens"]) == ("pay", DAY_0 + day, 1000)
    return key.fate


def test_fates_of_usage_with_an_item() -> None:
    start, done = item_event("a", at(0), "started"), item_event("b", at(1), "completed", item_type="story")
    canceled, reopened = item_event("c", at(2), "canceled"), item_event("d", at(3), "reopened")
    link = item_event("l", at(0), "linked", link_type="closes", link_value="I-9")
    assert fate() == "unknown_item"
    assert fate(start, done) == "core"
    assert fate(done | {"item_type": "docs"}) == "supporting"
    assert fate(done | {"item_type": "lint"}) == "low_value"
    assert fate(done | {"item_type": "epic"}) == "excluded"
    assert fate(done, link) == fate(done, link | {"occurred_at": at(2)}) == "excluded"
    assert fate(done, canceled) == "canceled"
    assert fate(done, canceled, reopened, watermark=at(9)) == "in_flight"


def test_usage_long_after_the_end_is_after_close() -> None:
    done, canceled = item_event("b", at(1), "completed", item_type="epic"), item_event("b", at(1), "canceled")
    started = item_event("a", at(0), "started")
    assert [fate(started, done, day=day) for day in (15, 16)] == ["excluded", "after_close"]
    assert [fate(started, canceled, day=day) for day in (15, 16)] == ["canceled", "after_close"]


def test_usage_in_the_fortnight_after_a_bulk_close_is_excluded() -> None:
    done = item_event("b", at(1), "completed", item_type="story")
    assert [fate(done, day=day) for day in (1, 2, 15, 16)] == ["core", "excluded", "excluded", "after_close"]


def test_an_open_item_without_a_sign_of_life_for_28_days_is_stalled() -> None:
    start = item_event("a", at(0), "started")
    assert [fate(start, watermark=at(28, us=us)) for us in (0, 1)] == ["in_flight", "stalled"]
    assert fate(start, day=1, watermark=at(28, us=1)) == "in_flight"
    assert fate(start | {"occurred_at": at(1)}, watermark=at(28, us=1)) == "in_flight"


def test_an_open_item_that_will_never_count_is_excluded() -> None:
    start = item_event("a", at(0), "started")
    link = item_event("l", at(0), "linked", link_type="closes", link_value="I-9")
    assert fate(start | {"item_type": "epic"}) == fate(start, link) == "excluded"


def test_a_reopened_item_is_open_whatever_it_was_closed_as() -> None:
    events = [item_event("b", at(1), "completed"), item_event("c", at(2), "reopened")]
    assert [fate(*events[:n], day=5, watermark=at(9)) for n in (1, 2)] == ["excluded", "in_flight"]


def test_a_sign_of_life_after_the_watermark_is_one() -> None:
    assert fate(item_event("a", at(50), "started"), watermark=at(40)) == "in_flight"


def test_fates_of_usage_without_an_item() -> None:
    usage = [
        usage_event("u1", at(0), activity="operate", requests=2),
        usage_event("u2", at(0), team="ads", usage_quality="unknown"),
    ]
    found = {(key.team, key.fate): amounts for key, amounts in world(usage, []).fates(FAR).items()}
    assert found == {
        ("pay", "enabling"): {"requests": 2, "tokens": 1000, "standard_cost_micro_usd": 15_000},
        ("ads", "unattributed"): {"requests": 1, "tokens": 0, "standard_cost_micro_usd": 0},
    }


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_fates_of_a_day_add_up_to_its_usage(found: World) -> None:
    results = world(found.usage, found.items)
    days: dict[tuple[str, str, int], int] = {}
    for pane, sums in results.panes.items():
        key = (pane.tenant, pane.team, pane.start // DAY_US)
        days[key] = days.get(key, 0) + sums.get("requests", 0)
    for fate_key, amounts in results.fates(found.watermark).items():
        days[fate_key.tenant, fate_key.team, fate_key.day] -= amounts["requests"]
    assert set(days.values()) <= {0}


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_what_was_given_and_not_taken_back_is_the_credit_in_force(found: World) -> None:
    for item in world(found.usage, found.items).items.values():
        balance: Counter[str] = Counter()
        for booking in item.bookings:
            balance.update({name: amount for name, amount in booking.measures.items() if name.endswith(GIVEN)})
            balance.subtract({_given(name): n for name, n in booking.measures.items() if name.endswith(TAKEN)})
        assert balance["value_credited_milli"] == (item.credit.value_milli if item.credit else 0)
        if (
            not item.evidence
        ):  # 0001, reading 1: leaving `completed` after a late link debits usage that was debited before
            assert all(amount >= 0 for amount in balance.values())
        if item.state != "canceled":
            assert balance["abandoned_tokens_booked"] == balance["abandoned_standard_cost_micro_usd_booked"] == 0
        if item.credit is None and not item.evidence:
            assert not any(amount for name, amount in balance.items() if "credited" in name)


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_results_do_not_depend_on_the_order_of_events(found: World) -> None:
    forward, backward = world(found.usage, found.items), world(found.usage[::-1], found.items[::-1])
    assert forward.ledger == backward.ledger
    assert forward.items == backward.items
    assert forward.panes == backward.panes
