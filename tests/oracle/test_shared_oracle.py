"""This oracle against an older one of the same prose, written by somebody else: ../shared/oracle/oracle.py.

The two share no code. The older one takes prices and rules as functions, knows no item counts, no reported cost and no
contributors; what both know is compared exactly.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.oracle.items import size_of
from tests.oracle.value import DEFAULT_RULES, SAMPLE_PRICES, match_rule, price_of
from tests.oracle.windows import GROUPINGS, LATENESS_US, SIZES
from tests.oracle.world import Results, world
from tests.strategies import DAY_0, DAY_US, Event, World, worlds

SHARED = Path(os.environ.get("TOKENWORTH_TEST_SHARED") or Path(__file__).parents[2].parent / "shared")
SOURCE = SHARED / "oracle" / "oracle.py"
KNOWN_TO_BOTH = (
    "requests",
    "unknown_requests",
    "partial_requests",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "tokens",
    "standard_cost_micro_usd",
    "unattributed_requests",
    "unattributed_tokens",
    "unattributed_standard_cost_micro_usd",
    "enabling_requests",
    "enabling_tokens",
    "enabling_standard_cost_micro_usd",
    "value_credited_milli",
    "value_debited_milli",
    "assisted_value_credited_milli",
    "assisted_value_debited_milli",
    "matched_tokens_credited",
    "matched_tokens_debited",
    "matched_standard_cost_micro_usd_credited",
    "matched_standard_cost_micro_usd_debited",
    "abandoned_tokens_booked",
    "abandoned_tokens_reversed",
    "abandoned_standard_cost_micro_usd_booked",
    "abandoned_standard_cost_micro_usd_reversed",
)

pytestmark = pytest.mark.skipif(
    not SOURCE.exists() and "CI" not in os.environ, reason=f"the other oracle is not here: {SOURCE}"
)


@pytest.fixture(scope="module")
def other() -> Any:
    spec = importlib.util.spec_from_file_location("shared_oracle", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def price(model: str, when: int) -> tuple[tuple[int, ...], bool]:
    line, unpriced = price_of(SAMPLE_PRICES, model, when)
    return line[3:], not unpriced


def rule(attributes: Mapping[str, Any]) -> tuple[int, int, bool, str, bool]:
    verdict = match_rule(
        DEFAULT_RULES,
        DAY_0 * DAY_US,
        item_type=attributes["item_type"],
        labels=attributes["labels"],
        evidence=False,
        worked_on=True,
    )
    return (verdict.rule, verdict.base_milli, verdict.sized, verdict.work_class, verdict.kind == "container")


def decoded(items: list[Event]) -> list[Event]:
    """Sizes as the other oracle expects them: an unusable one is none."""
    return [event | {"size_milli": size_of(event) or None} for event in items]


def shared_part(measures: Mapping[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in measures.items() if name in KNOWN_TO_BOTH}


def compare_ledger(other: Any, ours: Results, found: World) -> None:
    theirs = {
        (*item, *line): (m["requests"], m["known_requests"], m["not_full"], m["tokens"], m["standard_cost"], m["last"])
        for item, lines in other.ledger(found.usage, price).items()
        for line, m in lines.items()
    }
    names = ("requests", "known_requests", "incomplete_events", "tokens", "standard_cost_micro_usd")
    assert {
        tuple(key): (*(line.measures[name] for name in names), line.last_at) for key, line in ours.ledger.items()
    } == theirs


def compare_items(other: Any, ours: Results, found: World) -> None:
    theirs, _ = other.items_of(found.usage, decoded(found.items), price, rule)
    assert ours.items.keys() == theirs.keys()
    for name, item in ours.items.items():
        frozen = theirs[name].frozen
        assert (item.state, item.evidence) == (theirs[name].state, theirs[name].evidence)
        assert (item.attributes.item_type, item.attributes.labels, item.attributes.parent_id, item.attributes.team) == (
            frozen["item_type"],
            tuple(frozen["labels"]),
            frozen["parent_id"],
            frozen["team"],
        )
        assert item.attributes.size_milli == (frozen["size_milli"] or 0)
        last = theirs[name].last_credit
        assert item.assistance == (last["status"] if last else "")
        if item.credit is not None:
            assert (item.credit.value_milli, item.credit.verdict.work_class) == (last["value"], last["work_class"])
            assert item.credit.value_assisted == last["assisted_value"]
            places = [(b.tool, b.model) for b in item.credit.bookings if "items_completed" in b.measures]
            assert places == ([] if last["excluded"] else [last["dominant"]])


def compare_panes(other: Any, ours: Results, found: World) -> None:
    theirs = other.panes(found.usage, decoded(found.items), price, rule)
    assert {tuple(key): part for key, m in ours.panes.items() if (part := shared_part(m))} == theirs


def compare_fates(other: Any, ours: Results, found: World) -> None:
    theirs = other.fates(found.usage, decoded(found.items), price, rule, found.watermark)
    costs = {tuple(key): m["standard_cost_micro_usd"] for key, m in ours.fates(found.watermark).items()}
    assert {key: cost for key, cost in costs.items() if cost} == theirs


def compare_windows(other: Any, ours: Results, found: World) -> None:
    panes = other.panes(found.usage, decoded(found.items), price, rule)
    columns = ("tenant", "team", "tool", "model", "work_class")
    theirs = {}
    for grouping, kept in GROUPINGS.items():
        for size, (length, slide) in SIZES.items():
            masks = [name == "tenant" or name in kept for name in columns]
            sums = other.windows(panes, lambda key: tuple(k if m else "" for k, m in zip(key, masks)), length, slide)  # noqa: B023, B905
            for (group, end), measures in sums.items():
                if end + LATENESS_US <= found.watermark:
                    theirs[group[0], grouping, *group[1:], size, end] = measures
    assert {tuple(key): part for key, m in ours.windows(found.watermark).items() if (part := shared_part(m))} == theirs


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=worlds())
def test_ledger_items_panes_and_fates_agree(other: Any, found: World) -> None:
    ours = world(found.usage, found.items)
    for compare in (compare_ledger, compare_items, compare_panes, compare_fates):
        compare(other, ours, found)


@settings(max_examples=100, deadline=None)
@given(found=worlds(max_usage=5, max_items=4))
def test_windows_agree(other: Any, found: World) -> None:
    compare_windows(other, world(found.usage, found.items), found)
