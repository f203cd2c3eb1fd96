"""A mapping makes exactly the events it describes; what it cannot use is said, by row or at once."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streams.errors import ConfigError
from streams.events.usage import UsageEvent
from streams.events.work_item import WorkItemEvent
from streams.publish import Pseudonyms
from streams.publish.expressions import parse_expression
from streams.publish.mapping import RowMapping, load_mapping, shipped_mappings
from streams.publish.replay import Table, read_table

USAGE = """
tenant = "acme"
[columns]
id = "{who}-{at}"
[[events]]
event = "usage"
event_id = "{id}"
occurred_at = ["{at}", "{begin} + {took} s"]
actor = "github:{who}"
tool = "cli"
input_tokens = "{in}"
output_tokens = "{out}"
requests = ["{calls}", "3"]
cost_usd = "{usd}"
"""
ITEMS = """
tenant = "acme"
privacy_floor = 3
[[events]]
event = "work_item"
when = { state = ["done", "closed"] }
event_id = "{key}/completed"
occurred_at = "{at}"
work_item_id = "{key}"
kind = "completed"
labels = "{labels}"
size_milli = "{points}"
"""
PSEUDONYMS = Pseudonyms("k" * 16)
ROW = {
    "who": "jane",
    "at": "2024-01-02T03:04:05Z",
    "begin": "",
    "took": "",
    "in": "7",
    "out": "8",
    "calls": "",
    "usd": "",
}


def mapping(tmp_path: Path, text: str) -> RowMapping:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    return load_mapping(str(path))


def table(tmp_path: Path, text: str, content: str | bytes, name: str = "rows.csv") -> Table:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, mapping(tmp_path, text), PSEUDONYMS)


def one(tmp_path: Path, **changes: str) -> UsageEvent:
    (event,) = mapping(tmp_path, USAGE).events_of(ROW | changes, PSEUDONYMS)
    assert isinstance(event, UsageEvent)
    return event


def test_a_row_becomes_the_event_it_describes(tmp_path: Path) -> None:
    assert one(tmp_path, usd="0.19519745") == UsageEvent(
        event_id="jane-2024-01-02T03:04:05Z",
        occurred_at=datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
        tenant="acme",
        actor=PSEUDONYMS.of("github", "jane"),
        tool="cli",
        input_tokens=7,
        output_tokens=8,
        requests=3,
        cost_micro_usd=195_197,
    )


@pytest.mark.parametrize(
    ("usd", "micro"), [("0.0000005", 1), ("0.0000004999", 0), ("1e-6", 1), ("12", 12_000_000), ("", None)]
)
def test_money_is_rounded_half_up_once(tmp_path: Path, usd: str, micro: int | None) -> None:
    assert one(tmp_path, usd=usd).cost_micro_usd == micro


@pytest.mark.parametrize(
    ("cells", "moment"),
    [
        ({"at": "2024-01-02T03:04:05.678901+01:00"}, datetime(2024, 1, 2, 2, 4, 5, 678_901, tzinfo=UTC)),
        ({"at": "1704164645.25"}, datetime(2024, 1, 2, 3, 4, 5, 250_000, tzinfo=UTC)),
        ({"at": "1704164645"}, datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_times_are_iso_or_seconds(tmp_path: Path, cells: dict[str, str], moment: datetime) -> None:
    assert one(tmp_path, **cells).occurred_at == moment


def test_a_time_may_be_a_begin_and_a_duration(tmp_path: Path) -> None:
    text = USAGE.replace('id = "{who}-{at}"', 'id = "{who}"')
    row = ROW | {"at": "", "begin": "2024-01-02T03:04:05+00:00", "took": "0.1"}
    (event,) = mapping(tmp_path, text).events_of(row, PSEUDONYMS)
    assert event.occurred_at == datetime(2024, 1, 2, 3, 4, 5, 100_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cells", "quality"),
    [
        ({}, "full"),
        ({"in": "0", "out": "0"}, "full"),
        ({"in": ""}, "partial"),
        ({"out": ""}, "partial"),
        ({"in": "", "out": ""}, "unknown"),
    ],
)
def test_missing_tokens_are_not_zero_tokens(tmp_path: Path, cells: dict[str, str], quality: str) -> None:
    assert one(tmp_path, **cells).usage_quality == quality


def test_a_declared_quality_only_lowers_it(tmp_path: Path) -> None:
    text = USAGE + 'usage_quality = { column = "who", values = { jane = "partial" }, otherwise = "full" }\n'
    rows = mapping(tmp_path, text)
    assert [
        rows.events_of(ROW | cells, PSEUDONYMS)[0].usage_quality  # type: ignore[union-attr]
        for cells in ({}, {"who": "joe"}, {"in": "", "out": ""}, {"who": "joe", "in": ""})
    ] == ["partial", "full", "unknown", "partial"]


def test_conditions_labels_and_sizes(tmp_path: Path) -> None:
    rows = 'key,state,at,labels,points\nA-1,done,2024-01-02T00:00Z,"bug, p1,",3000\nA-2,open,2024-01-02T00:00Z,,\n'
    found = table(tmp_path, ITEMS, rows)
    (event,) = found.events
    assert isinstance(event, WorkItemEvent)
    assert (event.work_item_id, event.labels, event.size_milli) == ("A-1", ("bug", "p1"), 3000)
    assert (found.rows, found.usage_events, found.work_item_events, found.skipped) == (2, 0, 1, [])
    assert mapping(tmp_path, ITEMS).privacy_floor == 3


def test_json_lines_with_nested_missing_and_null_members(tmp_path: Path) -> None:
    text = ITEMS.replace("{labels}", "{fields.labels}")
    documents: list[Any] = [
        {"key": "A-1", "state": "done", "at": 1704164645, "fields": {"labels": ["bug", "p1"]}, "points": 1000},
        {"key": "A-2", "state": "closed", "at": 1704164646.5, "points": None},
        {"key": "A-3", "at": 1704164647},
        [1, 2],
    ]
    content = "\n".join([*map(json.dumps, documents), "{", ""])
    for name, data in (("rows.jsonl", content.encode()), ("rows.ndjson.gz", gzip.compress(content.encode()))):
        found = table(tmp_path, text, data, name)
        assert [event.key for event in found.events] == ["acme/A-1", "acme/A-2"]
        assert [getattr(event, "labels", None) for event in found.events] == [("bug", "p1"), ()]
        assert [(row.number, row.reason) for row in found.skipped] == [
            (4, "not a JSON object"),
            (5, "not a JSON document"),
        ]


def test_a_bad_row_is_skipped_whole_with_its_reason(tmp_path: Path) -> None:
    header = ",".join(ROW)
    good = ",".join((ROW | {"took": "1"}).values())
    rows = [
        good,
        good.replace("7", "-7"),
        good.replace("7", "x"),
        good.replace("7", "7.5"),
        good.replace("2024", "1970"),
        good.replace("T03:04:05Z", ""),
        good + ",more",
        good.replace(",8,", ",8,0"),
        good,
    ]
    found = table(tmp_path, USAGE, "\n".join([header, *rows]))
    assert len(found.events) == 2
    assert [row.number for row in found.skipped] == [2, 3, 4, 5, 6, 7, 8]
    assert [row.reason for row in found.skipped] == [
        "input_tokens is -7, allowed is 0..1000000000",
        "input_tokens is not a number",
        "input_tokens is not a whole number",
        "occurred_at is 1970-01-02T03:04:05+00:00, before 2015",
        "occurred_at must have a UTC offset: datetime.now(UTC), or one that was parsed with its offset",
        "more cells than the header",
        "requests is 0, allowed is 1..1000000",
    ]
    assert found.reasons["more cells than the header"] == 1


def test_events_are_in_the_order_of_their_time(tmp_path: Path) -> None:
    text = ITEMS + ITEMS[ITEMS.index("[[events]]") :].replace("{at}", "{begin}").replace("completed", "started")
    rows = "key,state,at,labels,points,begin\nA,done,2024-01-05T00:00Z,,,2024-01-01T00:00Z\n"
    rows += "B,done,2024-01-03T00:00Z,,,2024-01-02T00:00Z\n"
    found = table(tmp_path, text, rows)
    assert [event.event_id for event in found.events] == ["A/started", "B/started", "B/completed", "A/completed"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (USAGE.replace("tenant", "tenants"), "a mapping has no tenants"),
        (USAGE.replace('tenant = "acme"', ""), "'tenant' is missing"),
        (USAGE.replace('event = "usage"', 'event = "use"'), "event must be one of usage, work_item"),
        (USAGE.replace("tool", "tol"), "a usage event has no tol"),
        (USAGE.replace('event_id = "{id}"', ""), "'event_id' is missing"),
        (ITEMS.replace("kind", "resolution"), "'kind' is missing"),
        (ITEMS + 'cost_usd = "{x}"', "a work_item event has no cost_usd"),
        (USAGE.replace('"cli"', "5"), "tool: write"),
        (USAGE.replace('"cli"', '"{}"'), "tool: a column stands in braces"),
        (USAGE.replace('"cli"', '"{a"'), "tool: "),
        (USAGE.replace('tenant = "acme"', 'tenant = "acme"\nprivacy_floor = -1'), "privacy_floor"),
        ("tenant = ", "cannot read"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mapping(tmp_path, text)


def test_an_unknown_mapping_names_those_that_ship() -> None:
    with pytest.raises(ConfigError, match="there is no nothing") as caught:
        load_mapping("nothing")
    assert "agent_runs" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "content"), [("rows.csv", "key,at\nA,1\n"), ("rows.jsonl", '{"key": "A", "at": 1}\n')]
)
def test_a_column_that_the_file_lacks_is_named(tmp_path: Path, name: str, content: str) -> None:
    """At once, and not as thousands of rows without events."""
    with pytest.raises(ConfigError, match=f"{name} has no column labels, points, state"):
        table(tmp_path, ITEMS, content, name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.xlsx", b""),
        ("rows.csv.gz", b"no gzip"),
        ("rows.csv.gz", gzip.compress(b"a,b\n" * 1000, mtime=0)[:-9]),  # the time would be part of the test's name
        ("rows.csv", b"a\n\xff\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(ConfigError, match="rows"):
        table(tmp_path, USAGE, content, name)


def test_actors_need_the_key(tmp_path: Path) -> None:
    """Never published as they stand in the table."""
    with pytest.raises(ConfigError, match="TOKENWORTH_ACTOR_KEY"):
        read_table(tmp_path / "rows.csv", mapping(tmp_path, USAGE))


@pytest.mark.parametrize("name", ["agent_runs", "github_pull_requests"])
def test_the_shipped_mappings_can_be_loaded(name: str) -> None:
    assert name in shipped_mappings()
    assert load_mapping(name).events
    assert not load_mapping(name).names_actors


def test_expressions() -> None:
    cells = {"a": "1", "b": ""}
    values = [
        "{a}/{a}",
        "x{b}",
        ["{b}", "z"],
        ["{b}"],
        {"column": "a", "values": {"1": "one"}, "otherwise": ""},
        "{{a}}",
    ]
    assert [parse_expression(value)(cells) for value in values] == ["1/1", "", "z", "", "one", "{a}"]
    assert parse_expression(["{a}", "{b}-{c}"]).columns == {"a", "b", "c"}
