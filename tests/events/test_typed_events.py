"""A typed event refuses what the worker would refuse, and what it lets through arrives as it was given."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events.fields import microseconds
from streams.events.schemas import latest, shipped_id
from streams.events.usage import UsageEvent
from streams.events.wire import HEADER_BYTES, schema_id_of
from streams.events.work_item import WorkItemEvent
from tests.events.naive import refused_for
from tests.events.records import APPENDED, fields_of, read
from tests.strategies import at

NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)
ACTOR = "github:0123456789abcdef"


def a_usage(**changes: Any) -> UsageEvent:
    """A small valid event."""
    needed: dict[str, Any] = {"event_id": "u", "occurred_at": NOON, "tenant": "acme"}
    return UsageEvent(**needed | changes)


def an_item(**changes: Any) -> WorkItemEvent:
    """A small valid event."""
    needed: dict[str, Any] = {"event_id": "w", "occurred_at": NOON, "tenant": "acme"}
    return WorkItemEvent(**needed | {"work_item_id": "PAY-1", "kind": "started"} | changes)


def test_fields_are_those_of_the_schemas() -> None:
    """Names and order; a default of the schema is a default here."""
    for made, event in ((a_usage(), "usage_event"), (an_item(), "work_item_event")):
        names = {field.name for field in dataclasses.fields(made)}
        assert names == {field["name"] for field in latest(event)["fields"]}  # type: ignore[arg-type]
        for field in latest(event)["fields"]:  # type: ignore[arg-type]
            if "default" in field:
                default = getattr(made, field["name"])
                assert (list(default) if isinstance(default, tuple) else default) == field["default"]


def test_a_usage_event_arrives_as_it_was_given() -> None:
    """Through the wire and the worker's decoder."""
    event = a_usage(
        occurred_at=NOON.replace(microsecond=123_457),
        actor=ACTOR,
        team="search",
        work_item_id="PAY-1",
        input_tokens=3,
        output_tokens=10**9,
        reasoning_tokens=5,
        cost_micro_usd=0,
        status="error",
    )
    (row,) = read("usage_event", [event.to_wire()]).frame.to_dicts()
    assert row["occurred_at"] == at(1, us=123_457)
    assert event.key == "acme/PAY-1"
    for name in ("actor", "team", "work_item_id", "input_tokens", "output_tokens", "cost_micro_usd", "status"):
        assert row[name] == getattr(event, name)
    assert row["session_id"] == ""


def test_a_work_item_event_arrives_as_it_was_given() -> None:
    """Through the wire and the worker's decoder."""
    event = an_item(kind="linked", link_type="closes", link_value="PAY-2", labels=("bug", "p1"), size_milli=3000)
    (row,) = read("work_item_event", [event.to_wire()]).frame.to_dicts()
    assert (row["kind"], row["link_type"], row["link_value"]) == ("linked", "closes", "PAY-2")
    assert (row["labels"], row["size_milli"], row["actor"]) == (["bug", "p1"], 3000, "")
    assert event.key == "acme/PAY-1"


def test_the_id_in_the_header_may_be_a_registrys() -> None:
    """Without one it is the id that ships."""
    assert schema_id_of(a_usage().to_wire(4711)[:HEADER_BYTES]) == 4711
    assert schema_id_of(an_item().to_wire()[:HEADER_BYTES]) == shipped_id("work_item_event")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"event_id": ""}, ValueError, "event_id has 0 bytes, allowed is 1..256"),
        ({"event_id": "ü" * 129}, ValueError, "event_id has 258 bytes"),
        ({"tenant": 5}, TypeError, "tenant must be a string, not int"),
        ({"team": None}, TypeError, "team must be a string"),
        ({"work_item_id": ""}, ValueError, "work_item_id has 0 bytes"),
        ({"session_id": "x" * 257}, ValueError, "session_id has 257 bytes"),
        ({"model": "x" * 257}, ValueError, "model has 257 bytes"),
        ({"input_tokens": -1}, ValueError, r"input_tokens is -1, allowed is 0\.\.1000000000"),
        ({"input_tokens": 1.0}, TypeError, "input_tokens must be an integer, not float"),
        ({"input_tokens": True}, TypeError, "input_tokens must be an integer, not bool"),
        ({"reasoning_tokens": 1}, ValueError, "more than output_tokens"),
        ({"requests": 0}, ValueError, "requests is 0"),
        ({"cost_micro_usd": 10**12 + 1}, ValueError, "cost_micro_usd"),
        ({"usage_quality": "good"}, ValueError, "usage_quality must be one of full, partial, unknown"),
        ({"activity": "BUILD"}, ValueError, "activity must be one of"),
        ({"cost_basis": None}, ValueError, "cost_basis must be one of"),
        ({"actor": "jane.doe@example.com"}, ValueError, "actor must be a pseudonym"),
        ({"actor": "github:jane"}, ValueError, "actor must be a pseudonym"),
        ({"occurred_at": datetime(2024, 1, 1)}, ValueError, "occurred_at must have a UTC offset"),  # noqa: DTZ001
        ({"occurred_at": "2024-01-01"}, TypeError, "occurred_at must be a datetime, not str"),
        ({"occurred_at": datetime(1970, 1, 1, tzinfo=UTC)}, ValueError, "before 2015"),
    ],
)
def test_a_bad_usage_event_names_its_field(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    """Where it is made, not days later in a table of dead letters."""
    with pytest.raises(error, match=message):
        a_usage(**changes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"kind": "celebrated"}, ValueError, "kind must be one of"),
        ({"work_item_id": ""}, ValueError, "work_item_id"),
        ({"size_milli": 0}, ValueError, "size_milli is 0"),
        ({"labels": ["a"]}, TypeError, "labels must be a tuple"),
        ({"labels": ("a",) * 33}, ValueError, "33 labels"),
        ({"labels": ("x" * 65,)}, ValueError, "a label has 65 bytes"),
        ({"link_type": "likes"}, ValueError, "link_type must be one of"),
        ({"link_value": ""}, ValueError, "link_value"),
        ({"resolution": "x" * 257}, ValueError, "resolution"),
        ({"actor": "Jane"}, ValueError, "actor"),
    ],
)
def test_a_bad_work_item_event_names_its_field(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    """The same for the other event."""
    with pytest.raises(error, match=message):
        an_item(**changes)


def test_events_never_change() -> None:
    """A published event is a fact."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        a_usage().event_id = "other"  # type: ignore[misc]


@given(fields_of("usage_event"))
@settings(max_examples=200, deadline=None)
def test_whatever_can_be_made_is_accepted(fields: dict[str, Any]) -> None:
    """The bounds of publisher and worker are the same, but for the append time, which only the worker knows."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=fields["occurred_at"])
        event = a_usage(**fields | {"occurred_at": moment, "actor": ""})
    except (ValueError, OverflowError):
        return
    if microseconds(moment) <= APPENDED + 300_000_000:
        assert refused_for("usage_event", fields | {"actor": ""}, APPENDED) is None
        assert read("usage_event", [event.to_wire()]).dead == []


@given(st.integers(-(10**15), 10**16), st.integers(-14 * 60, 14 * 60))
def test_microseconds_are_exact_in_any_zone(count: int, offset_minutes: int) -> None:
    """No float comes near a time."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=count)
    assert microseconds(moment.astimezone(timezone(timedelta(minutes=offset_minutes)))) == count
