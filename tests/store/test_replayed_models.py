"""The comparison of models that `replay --compare` prints: which items count for whom, and what is unknown and not 0."""

from __future__ import annotations

from typing import Any

import pytest

from streams.store.client import Client
from streams.store.reading import read
from tests.store.right_store import RightStore, Row, insert
from tests.strategies import Event, World, at, item_event, usage_event

PER_COMPLETED = ("cost_per_completed_micro_usd", "standard_cost_per_completed_micro_usd")


def compared(client: Client, usage: list[Event], items: list[Event], *, floor: str = "0") -> list[Row]:
    store = RightStore(client)
    store.add(World(usage, items, at(2)))
    store.write(watermark=at(2))
    insert(client, "tenant_settings", [{"tenant": "acme", "name": "privacy_floor", "value": floor, "version": 1}])
    return read(client, "results/replayed_models", tenant="acme").to_dicts()


def used(number: int, *, kind: str = "completed", **changes: Any) -> tuple[Event, Event]:
    """An item that one event of usage was spent on, billed at 20,000 micro-USD; the standard cost is 15,000."""
    item = f"I-{number}"
    changes = {"cost_micro_usd": 20_000, "cost_basis": "billed", "input_tokens": 1000, **changes}
    return usage_event(f"u{number}", at(0), work_item_id=item, **changes), item_event(
        f"w{number}", at(1), kind, work_item_id=item, team="pay", item_type="story"
    )


def events(*pairs: tuple[Event, Event]) -> tuple[list[Event], list[Event]]:
    return [usage for usage, _ in pairs], [item for _, item in pairs]


def test_costs_per_completed_item_are_those_of_the_items_for_which_they_are_known(migrated: Client) -> None:
    pairs = [used(n) for n in range(40)]
    pairs += [used(40 + n, kind="canceled", cost_micro_usd=900_000, input_tokens=90_000) for n in range(10)]
    pairs += [used(50 + n, usage_quality="partial", input_tokens=1) for n in range(5)]
    pairs += [used(60 + n, cost_micro_usd=None) for n in range(5)]
    pairs += [used(70 + n, usage_quality="unknown", input_tokens=0) for n in range(5)]
    model, total = compared(migrated, *events(*pairs))
    assert (model["team"], model["tool"], model["model"]) == ("pay", "cli", "large")
    assert (model["items"], model["completed"], model["canceled"]) == (65, 55, 10)
    assert (model["unknown_items"], model["partial_items"], model["items_without_cost"]) == (5, 5, 10)
    # A cost beside unknown usage counts nowhere: of such an event only the requests are a measure.
    assert model["cost_micro_usd"] == 45 * 20_000 + 10 * 900_000
    assert model["cost_per_completed_micro_usd"] == pytest.approx(20_000)
    assert model["standard_cost_per_completed_micro_usd"] == pytest.approx(15_000)
    assert (model["billed_items"], model["full_items"]) == (45, 45)
    assert model["tokens"] == 45 * 1000 + 10 * 90_000 + 5
    assert model["full_request_share"] == pytest.approx(55 / 65)
    assert model["full_cost_share"] == pytest.approx(1, abs=1e-3)
    assert model["full_cost_share"] < 1
    assert model["known_cost_share"] == pytest.approx(55 / 65)
    assert model["request_share"] == 1
    changed = {name for name in model if model[name] != total[name]}
    assert changed == {"is_total", "team", "tool", "model"}


def test_few_items_and_unknown_ones_have_no_figures(migrated: Client) -> None:
    pairs = [used(n, model="small") for n in range(29)]
    pairs += [used(30 + n, usage_quality="unknown", input_tokens=0, cost_micro_usd=None) for n in range(40)]
    rows = {row["model"]: row for row in compared(migrated, *events(*pairs))}
    small, large = rows["small"], rows["large"]
    assert [small[name] for name in PER_COMPLETED] == [None, None]
    assert (small["cost_null_reason"], small["standard_cost_null_reason"]) == ("few_items", "few_items")
    assert [large[name] for name in PER_COMPLETED] == [None, None]
    assert (large["cost_null_reason"], large["standard_cost_null_reason"]) == ("no_known_cost", "no_full_usage")
    assert [large[name] for name in ("tokens", "cost_micro_usd", "standard_cost_micro_usd")] == [None, None, None]


def test_a_reported_cost_of_0_is_known_and_another_basis_is_not_billed(migrated: Client) -> None:
    pairs = [used(n, cost_micro_usd=0) for n in range(30)]
    pairs += [used(30 + n, model="small", cost_basis="list") for n in range(30)]
    free, listed = compared(migrated, *events(*pairs))[:2]
    assert (free["model"], free["cost_micro_usd"], free["cost_per_completed_micro_usd"]) == ("large", 0, 0)
    assert (listed["cost_micro_usd"], listed["cost_null_reason"]) == (None, "no_known_cost")
    assert (free["known_cost_share"], listed["known_cost_share"]) == (1, 0)


def test_items_count_for_the_model_that_carried_them(migrated: Client) -> None:
    usage, items = events(*(used(n) for n in range(3)))
    usage += [
        usage_event(
            "a", at(0), work_item_id="I-0", model="small", input_tokens=1000
        ),  # 1/60 of the cost: still carried
        usage_event("b", at(0), work_item_id="I-1", model="small", input_tokens=60_000),  # half of it: by nobody
        usage_event("c", at(0), work_item_id="I-2", tool="ide"),  # the same model by another tool: half, too
        usage_event("d", at(0)),  # no item
    ]
    model, total = compared(migrated, usage, items)
    assert (model["tool"], model["model"], model["items"]) == ("cli", "large", 1)
    assert model["request_share"] == pytest.approx(2 / 7)
    assert total["items"] == 1


def test_models_that_the_price_book_lacks_are_told(migrated: Client) -> None:
    rows = compared(migrated, *events(used(1), used(2, model="unheard-of")))
    assert {row["model"]: row["is_unpriced"] for row in rows} == {"large": 0, "unheard-of": 1, "": 1}


def test_small_teams_and_tables_without_usage_are_not_compared(migrated: Client) -> None:
    assert compared(migrated, *events(used(1)), floor="5") == []


def test_the_cheapest_of_a_team_comes_first(migrated: Client) -> None:
    pairs = [used(n, cost_micro_usd=50_000) for n in range(30)]
    pairs += [used(30 + n, model="small", cost_micro_usd=40_000) for n in range(30)]
    pairs += [used(60 + n, model="a", cost_micro_usd=None) for n in range(30)]
    assert [row["model"] for row in compared(migrated, *events(*pairs))] == ["small", "large", "a", ""]
