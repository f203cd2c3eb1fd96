"""Generated events have the schemas' fields and values that decoding accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.strategies import Event, World, at, item_event, usage_event, worlds

SCHEMAS = Path(__file__).parents[1] / "schemas"


@pytest.mark.parametrize(
    ("schema", "event"),
    [("usage_event", usage_event("u", at(0))), ("work_item_event", item_event("w", at(0), "started"))],
)
def test_builders_know_exactly_the_fields_of_the_schema(schema: str, event: Event) -> None:
    fields = json.loads((SCHEMAS / schema / "1.avsc").read_text())["fields"]
    assert list(event) == [field["name"] for field in fields]


def test_a_misspelt_field_is_an_error() -> None:
    with pytest.raises(KeyError, match="no such field"):
        usage_event("u", at(0), tokens=1)


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_worlds_are_acceptable(found: World) -> None:
    fields = [list(usage_event("u", at(0))), list(item_event("w", at(0), "started"))]
    for events, names in zip((found.usage, found.items), fields, strict=True):
        by_id: dict[str, Event] = {}
        for event in events:
            assert list(event) == names
            assert event["event_id"]
            assert event == by_id.setdefault(event["event_id"], event)  # a repeat is an equal copy
            assert event["occurred_at"] <= found.watermark
    for event in found.usage:
        assert 0 <= event["reasoning_tokens"] <= event["output_tokens"] <= 10**9
        assert 1 <= event["requests"] <= 1_000_000
    for event in found.items:
        assert event["kind"] == "linked" or not event["link_type"]
