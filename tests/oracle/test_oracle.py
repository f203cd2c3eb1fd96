"""Worked examples of the fold of an item, computed by hand from VALUE.md §3, §8 and DESIGN.md §5.

2,000 input tokens of model large (15 USD per million) cost 30,000 micro-USD: exactly the 10,000 weighted tokens that make an
item assisted, if they took three requests.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.items import Item, allocate
from tests.oracle.value import DEFAULT_RULES, SINCE_2015, RuleLine
from tests.oracle.world import Results, world
from tests.strategies import Event, at, item_event, usage_event


def spent(event_id: str, occurred_at: int, **changes: Any) -> Event:
    """Three requests of I-1 that cost 30,000 micro-USD."""
    return usage_event(
        event_id, occurred_at, **({"work_item_id": "I-1", "requests": 3, "input_tokens": 2000} | changes)
    )


def only_item(results: Results) -> Item:
    (item,) = results.items.values()
    return item


def booked(item: Item, kind: str) -> list[tuple[str, str, str, str, dict[str, int]]]:
    return [
        (found.team, found.tool, found.model, found.work_class, found.measures)
        for found in item.bookings
        if found.kind == kind
    ]


def measure(item: Item, name: str) -> int:
    return sum(booking.measures.get(name, 0) for booking in item.bookings)


def story(day: int, **changes: Any) -> Event:
    return item_event(f"done-{day}", at(day, 20), "completed", **({"item_type": "story", "team": "pay"} | changes))


def test_a_completion_credits_value_an_item_and_its_usage() -> None:
    item = only_item(world([spent("u1", at(0))], [story(0)]))
    measures = {
        "value_credited_milli": 1000,
        "assisted_value_credited_milli": 1000,
        "matched_tokens_credited": 2000,
        "matched_standard_cost_micro_usd_credited": 30_000,
        "items_completed": 1,
        "items_assisted": 1,
    }
    assert booked(item, "credit") == [("pay", "cli", "large", "core", measures)]
    assert (item.state, item.assistance, item.completed_at) == ("completed", "assisted", at(0, 20))
    assert only_item(world([spent("u1", at(0))], [story(0), story(0), story(1)])).bookings == item.bookings


@pytest.mark.parametrize(
    ("changes", "assistance"),
    [
        ({}, "assisted"),
        ({"requests": 2}, "lightly_assisted"),
        ({"input_tokens": 1999}, "lightly_assisted"),  # 29,985
        ({"usage_quality": "unknown"}, "assisted_unknown"),
        ({"usage_quality": "partial"}, "assisted"),
    ],
)
def test_assistance_needs_three_requests_and_ten_thousand_weighted_tokens(changes: Event, assistance: str) -> None:
    item = only_item(world([spent("u1", at(0), **changes)], [story(0)]))
    assert item.assistance == assistance
    assert measure(item, f"items_{assistance}") == measure(item, "items_completed") == 1


def test_unknown_requests_count_once_anything_is_known() -> None:
    usage = [
        spent("u1", at(0), requests=2, usage_quality="unknown"),
        spent("u2", at(0), requests=1, team="ads"),
    ]
    item = only_item(world(usage, [story(0)]))
    assert item.assistance == "assisted"  # 3 requests, 30,000 micro-USD, of all teams
    assert measure(item, "assisted_value_credited_milli") == 0  # one line is not of full quality


def test_only_usage_until_the_day_of_completion_assists() -> None:
    same_day, next_day = (only_item(world([spent("u1", when)], [story(0)])) for when in (at(0, 23), at(1, 0)))
    assert (same_day.assistance, next_day.assistance) == ("assisted", "closed_without_work")


def test_value_without_usage_is_unassisted_and_has_no_tool() -> None:
    item = only_item(world([], [item_event("s", at(0), "started"), story(1)]))
    measures = {"value_credited_milli": 1000, "items_completed": 1, "items_unassisted": 1}
    assert booked(item, "credit") == [("pay", "", "", "core", measures)]


def test_unassisted_value_has_no_tool_though_later_usage_is_matched() -> None:
    item = only_item(world([spent("u", at(2))], [item_event("s", at(0), "started"), story(1)]))
    assert [(tool, sorted(found)) for _, tool, _, _, found in booked(item, "credit")] == [
        ("", ["items_completed", "items_unassisted", "value_credited_milli"]),
        ("cli", ["matched_standard_cost_micro_usd_credited", "matched_tokens_credited"]),
    ]


@pytest.mark.parametrize("kind", ["started", "linked"])
def test_a_start_or_a_link_before_the_completion_in_fold_order_is_work(kind: str) -> None:
    link = {"link_type": "branch", "link_value": "b"} if kind == "linked" else {}
    for event_id, when, assistance in (
        ("z", at(0), "unassisted"),
        ("a", at(1, 20), "unassisted"),
        ("z", at(1, 20), "closed_without_work"),
        ("a", at(1, 21), "closed_without_work"),
    ):
        assert only_item(world([], [item_event(event_id, when, kind, **link), story(1)])).assistance == assistance


def test_bulk_closing_is_worth_nothing_and_counted() -> None:
    item = only_item(world([], [item_event("s", at(0), "sized", size_milli=5000), story(1)]))
    assert booked(item, "credit") == [("pay", "", "", "excluded", {"items_closed_without_work": 1})]


def test_usage_of_fourteen_days_after_completion_is_matched() -> None:
    usage = [spent("u0", at(0)), spent("u14", at(14, 23), model="free"), spent("u15", at(15, 0))]
    item = only_item(world(usage, [story(0)]))
    assert measure(item, "matched_tokens_credited") == 4000
    assert measure(item, "matched_standard_cost_micro_usd_credited") == 30_000


def test_largest_remainder() -> None:
    # 1,000 x 1/3 = 333.33 each: one unit is left, and bytes decide
    assert allocate(1000, {("b", ""): 1, ("a", "z"): 1, ("a", "é"): 1}) == {
        ("b", ""): 333,
        ("a", "z"): 334,
        ("a", "é"): 333,
    }
    # 100 over 5, 3, 1: 55.56, 33.33, 11.11
    assert allocate(100, {("a", ""): 5, ("b", ""): 3, ("c", ""): 1}) == {("a", ""): 56, ("b", ""): 33, ("c", ""): 11}
    assert allocate(0, {("a", ""): 5}) == {("a", ""): 0}


def test_value_is_split_by_standard_cost_over_days_and_teams() -> None:
    usage = [
        spent("u1", at(0), model="large", input_tokens=1000),  # 15,000
        spent("u2", at(1), model="large", input_tokens=1000, team="ads"),  # 15,000
        spent("u3", at(0), model="unlisted", input_tokens=20_000, tool="ide"),  # 60,000
    ]
    item = only_item(world(usage, [story(1)]))
    assert measure(item, "value_credited_milli") == 1000
    by_place = {(tool, model): found for _, tool, model, _, found in booked(item, "credit")}
    # 30,000 : 60,000 -> 333.33, 666.67
    assert by_place["cli", "large"]["value_credited_milli"] == 333
    assert by_place["ide", "unlisted"]["value_credited_milli"] == 667
    assert "items_completed" not in by_place["cli", "large"]
    assert by_place["ide", "unlisted"]["items_completed"] == by_place["ide", "unlisted"]["items_assisted"] == 1


def test_value_is_split_by_requests_when_nothing_cost_anything() -> None:
    usage = [spent("u1", at(0), model="free", requests=1), spent("u2", at(0), model="free", tool="a", requests=3)]
    item = only_item(world(usage, [story(0)]))
    assert [(tool, found["value_credited_milli"]) for _, tool, _, _, found in booked(item, "credit")] == [
        ("a", 750),
        ("cli", 250),
    ]


def test_equal_weights_count_the_item_at_the_smaller_bytes() -> None:
    usage = [spent("u1", at(0), tool="é"), spent("u2", at(0), tool="z"), spent("u3", at(0), tool="zz")]
    item = only_item(world(usage, [story(0)]))
    assert [tool for _, tool, _, _, found in booked(item, "credit") if "items_completed" in found] == ["z"]


def test_reopening_debits_exactly_what_was_credited() -> None:
    events = [story(0), item_event("r", at(3), "reopened"), story(20)]
    usage = [spent("u1", at(0)), spent("u2", at(10)), spent("u3", at(20))]
    item = only_item(world(usage, events))
    credit, second = (found for found in item.bookings if found.kind == "credit")
    (debit,) = (found for found in item.bookings if found.kind == "debit")
    # the first credit takes the days up to 14, although the item was reopened on day 3
    assert credit.measures["matched_tokens_credited"] == debit.measures["matched_tokens_debited"] == 4000
    assert second.measures["matched_tokens_credited"] == 6000
    assert debit.measures == {
        "value_debited_milli": 1000,
        "assisted_value_debited_milli": 1000,
        "matched_tokens_debited": 4000,
        "matched_standard_cost_micro_usd_debited": 60_000,
    }
    assert booked(item, "reopened") == [("pay", "", "", "", {"items_reopened": 1})]
    assert measure(item, "items_completed") == 2


@pytest.mark.parametrize("kind", ["canceled", "deleted", "moved"])
def test_canceling_abandons_the_usage_until_it_is_reversed(kind: str) -> None:
    usage = [spent("u1", at(0)), spent("u2", at(15, 23)), spent("u3", at(16))]
    events = [item_event("c", at(1), kind, team="pay"), item_event("c2", at(2), kind)]
    item = only_item(world(usage, events))
    abandoned = {"abandoned_tokens_booked": 4000, "abandoned_standard_cost_micro_usd_booked": 60_000}
    assert booked(item, "abandon") == [
        ("pay", "cli", "large", "", abandoned),
        ("pay", "", "", "", {"items_canceled": 1}),
    ]
    assert (item.state, item.canceled_at) == ("canceled", at(1))
    reopened = only_item(world(usage, [*events, item_event("r", at(3), "reopened")]))
    reversal = {"abandoned_tokens_reversed": 4000, "abandoned_standard_cost_micro_usd_reversed": 60_000}
    assert booked(reopened, "reversal") == [("pay", "cli", "large", "", reversal)]
    assert (reopened.state, measure(reopened, "items_reopened")) == ("open", 0)
    completed = only_item(world(usage, [*events, story(4)]))
    assert booked(completed, "reversal") == [("pay", "cli", "large", "", reversal)]
    assert (completed.state, measure(completed, "items_completed")) == ("completed", 1)


def test_canceling_a_completed_item_debits_then_abandons() -> None:
    item = only_item(world([spent("u1", at(0))], [story(0), item_event("c", at(1), "canceled")]))
    assert [booking.kind for booking in item.bookings] == ["credit", "debit", "abandon", "abandon"]
    assert (item.state, item.completed_at) == ("canceled", 0)


def test_attributes_are_the_last_ones_at_the_first_completion() -> None:
    events = [
        item_event("a", at(0), "started", team="ads", item_type="bug", labels=["x"], parent_id="E-1"),
        item_event("b", at(0), "sized", team="pay"),
        item_event("c", at(1), "completed", item_type="story"),
        item_event("d", at(2), "sized", team="late", item_type="docs", labels=["y"], parent_id="E-2"),
    ]
    item = only_item(world([], events))
    found = item.attributes
    assert (found.team, found.item_type, found.labels, found.parent_id) == ("pay", "story", ("x",), "E-1")
    assert only_item(world([], [*events[:2], events[3]])).attributes.team == "late"


@pytest.mark.parametrize(
    ("sizes", "size"),
    [
        ([(0, 3000), (1, 5000)], 5000),  # the last one up to the start on day 1, in fold order
        ([(0, 3000), (2, 5000)], 3000),
        ([(2, 5000), (3, 8000)], 5000),  # none before the start: the first one seen
        ([(0, 3000), (1, 1_000_001)], 3000),  # no usable size
        ([(0, 3000), (12, 5000)], 3000),  # not after the completion on day 9
        ([], 0),
    ],
)
def test_size_is_the_estimate_of_the_start(sizes: list[tuple[int, int]], size: int) -> None:
    events = [item_event(f"e{day}", at(day), "sized", size_milli=points) for day, points in sizes]
    item = only_item(world([], [item_event("s", at(1), "started"), *events, story(9)]))
    assert item.attributes.size_milli == size


def test_a_start_after_the_completion_still_bounds_the_estimates() -> None:
    sizes = [item_event(f"e{day}", at(day), "sized", size_milli=points) for day, points in ((0, 3000), (1, 5000))]
    start = item_event("s", at(30), "started")
    assert only_item(world([], [*sizes, story(9)])).attributes.size_milli == 3000
    assert only_item(world([], [*sizes, story(9), start])).attributes.size_milli == 5000


def test_reclassifying_a_completed_item_debits_and_credits_at_its_time() -> None:
    events = [story(0), item_event("k", at(5), "reclassified", item_type="docs", team="ads")]
    item = only_item(world([spent("u1", at(0)), spent("u2", at(16))], events))
    (debit,) = booked(item, "debit")
    _, second = booked(item, "credit")
    assert (debit[0], debit[3], debit[4]["value_debited_milli"]) == ("pay", "core", 1000)
    assert (second[0], second[3], second[4]["value_credited_milli"]) == ("ads", "supporting", 250)
    assert item.first_completed_at == item.completed_at == at(0, 20)
    assert measure(item, "items_completed") == 2
    # the new credit is booked on day 5 and still takes the usage of days 0 to 14
    assert second[4]["matched_tokens_credited"] == debit[4]["matched_tokens_debited"] == 2000


def test_reclassifying_never_changes_the_size() -> None:
    events = [item_event("s", at(0), "started", size_milli=3000), story(1)]
    changed = item_event("k", at(2), "reclassified", size_milli=9000)
    assert only_item(world([], [*events, changed])).attributes.size_milli == 3000


def test_rules_are_those_in_force_at_the_completion_even_when_reclassified() -> None:
    rules = [*DEFAULT_RULES, *(line._replace(effective_from=at(3), base_milli=7) for line in DEFAULT_RULES)]
    events = [item_event("s", at(0), "started"), story(1), item_event("k", at(5), "reclassified", item_type="docs")]
    item = only_item(world([], events, rules=rules))
    assert measure(item, "value_credited_milli") == 1250
    assert measure(only_item(world([], [events[0], story(4)], rules=rules)), "value_credited_milli") == 7


def test_an_abandonment_before_the_first_completion_is_of_the_last_team_named() -> None:
    events = [item_event("a", at(0), "canceled", team="ads"), story(1), item_event("z", at(2), "sized", team="late")]
    item = only_item(world([spent("u", at(0))], events))
    assert {team for team, *_ in booked(item, "abandon")} == {team for team, *_ in booked(item, "reversal")} == {"late"}
    assert {team for team, *_ in booked(item, "credit")} == {"pay"}
    again = only_item(world([], [*events, item_event("zz", at(3), "canceled")]))
    assert [team for team, *_ in booked(again, "abandon")] == ["late", "pay"]


def test_a_duplicate_is_canceled() -> None:
    link = item_event("l", at(2), "linked", link_type="duplicates", link_value="I-9")
    item = only_item(world([spent("u", at(0))], [story(0), link]))
    assert [booking.kind for booking in item.bookings] == ["credit", "debit", "abandon", "abandon"]
    assert item.state == "canceled"
    assert only_item(world([], [link])).state == "canceled"
    assert only_item(world([], [link | {"link_value": "I-1"}])).state == "canceled"


def test_reclassifying_an_open_item_only_changes_attributes() -> None:
    events = [item_event("k", at(0), "reclassified", item_type="docs"), item_event("s", at(1), "started")]
    item = only_item(world([], events))
    assert (item.bookings, item.verdict.rule, item.state) == ([], 13, "open")


@pytest.mark.parametrize("link_type", ["subtask_of", "implements", "closes"])
def test_evidence_is_worth_nothing(link_type: str) -> None:
    link = item_event("l", at(0), "linked", link_type=link_type, link_value="I-9")
    item = only_item(world([spent("u1", at(0))], [link, story(1)]))
    matched = {"matched_tokens_credited": 2000, "matched_standard_cost_micro_usd_credited": 30_000}
    assert booked(item, "credit") == [("pay", "cli", "large", "excluded", matched)]
    late = only_item(world([spent("u1", at(0))], [link | {"occurred_at": at(2)}, story(1)]))
    assert [booking.kind for booking in late.bookings] == ["credit", "debit"]
    assert late.credit is not None
    assert (late.state, late.credit.value_milli, late.verdict.kind) == ("completed", 0, "evidence")


@pytest.mark.parametrize("kind", ["reopened", "canceled"])
def test_leaving_completed_after_a_late_link_debits_its_usage_once_more(kind: str) -> None:
    link = item_event("l", at(1), "linked", link_type="closes", link_value="I-9")
    item = only_item(world([spent("u", at(0))], [story(0), link, item_event("r", at(2), kind)]))
    # 0001, reading 1: 2,000 tokens from core by the link, and 2,000 under excluded by what follows
    assert (measure(item, "matched_tokens_credited"), measure(item, "matched_tokens_debited")) == (2000, 4000)
    assert measure(item, "items_reopened") == (kind == "reopened")


def test_reclassifying_after_a_late_link_credits_nothing_but_usage() -> None:
    link = item_event("l", at(1), "linked", link_type="closes", link_value="I-9")
    item = only_item(world([spent("u", at(0))], [story(0), link, item_event("r", at(2), "reclassified")]))
    assert [(found.kind, found.work_class) for found in item.bookings] == [
        ("credit", "core"),
        ("debit", "core"),
        ("debit", "excluded"),
        ("credit", "excluded"),
    ]
    assert measure(item, "items_completed") == 1


@pytest.mark.parametrize(("item_type", "work_class"), [("epic", "excluded"), ("revert", "supporting")])
def test_a_late_link_finds_nothing_to_debit_on_a_credit_of_0(item_type: str, work_class: str) -> None:
    link = item_event("l", at(1), "linked", link_type="closes", link_value="I-9")
    item = only_item(world([spent("u", at(0))], [story(0, item_type=item_type), link]))
    assert [(found.kind, found.work_class) for found in item.bookings] == [("credit", work_class)]


def test_an_evidence_link_need_not_say_to_what() -> None:
    link = item_event("l", at(0), "linked", link_type="closes")
    assert only_item(world([], [link])).evidence


def test_a_link_to_itself_is_not_evidence() -> None:
    link = item_event("l", at(0), "linked", link_type="closes", link_value="I-1")
    assert measure(only_item(world([], [link, story(1)])), "value_credited_milli") == 1000


def test_a_container_is_worth_nothing_and_counts_nowhere() -> None:
    item = only_item(world([], [item_event("s", at(0), "started"), story(1, item_type="epic")]))
    assert (item.bookings, item.verdict.work_class) == ([], "excluded")


def test_a_revert_is_worth_nothing_but_a_completed_item() -> None:
    item = only_item(world([], [item_event("s", at(0), "started"), story(1, item_type="revert")]))
    assert booked(item, "credit") == [("pay", "", "", "supporting", {"items_completed": 1, "items_unassisted": 1})]
    untouched = only_item(world([], [story(1, item_type="revert")]))
    assert booked(untouched, "credit") == [("pay", "", "", "excluded", {"items_closed_without_work": 1})]


def test_the_owning_team_scales_by_its_own_reference() -> None:
    rules = [*DEFAULT_RULES, RuleLine(SINCE_2015, "reference", 0, ("pay",), 6000, False, "")]
    events = [item_event("s", at(0), "started", size_milli=4000), story(1)]
    item = only_item(world([], events, rules=rules))
    assert measure(item, "value_credited_milli") == 667  # 4,000 / 6,000


def test_events_of_one_time_fold_by_id() -> None:
    done, reopened = item_event("b", at(0), "completed"), item_event("c", at(0), "reopened")
    assert only_item(world([], [reopened, done])).state == "open"
    assert only_item(world([], [reopened | {"event_id": "a"}, done])).state == "completed"
