"""What every store of the sink must do: replace by version, and answer the queries of recovery. Subclasses give a fixture `store`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.join.flush import EPOCH_SHIFT, FlushBuffer, PartitionFlush
from streams.join.partition import JoinPartition
from streams.store.positions import LIVES, Claim, Incarnation, claim, incarnations, write_incarnations
from streams.store.sink import Sink
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.measures import PANE_US
from tests.frames import item_frame, item_hash, usage_frame
from tests.store.memory import ANSWERS, Row, plain
from tests.store.simulated import Store
from tests.strategies import Event, at, item_event, usage_event

RULES, PRICES = Rules.shipped(), PriceBook.shipped()
SHOWS_OLD_VERSIONS = ("recent_ids", "recent_prompts", "old_usage", "recent_items", "old_items")
"""Queries whose readers take the same identity twice: they need not wait for a merge."""
ODD_TEXTS = (
    "",
    "'",
    '"',
    "\\",
    "\\'",
    "\t",
    "\n",
    "\0",
    "a,b",
    "[x]",
    "{x}",
    "%s",
    "é",
    "漢字",
    "\U0001f600",
    " ",
    "x" * 256,
)


def rows_of(name: str, answer: pl.DataFrame) -> Counter[tuple[Any, ...]]:
    """An answer without order, nested values as tuples."""
    found = Counter(hashable(row) for row in answer.select(list(ANSWERS[name])).iter_rows())
    return Counter(found.keys()) if name in SHOWS_OLD_VERSIONS else found


def hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(hashable(v) for v in value.values())
    if isinstance(value, list | tuple):
        return tuple(hashable(v) for v in value)
    return plain(value)


def flush_of(
    usage: Sequence[Event] = (),
    items: Sequence[Event] = (),
    *,
    epoch: int = 1,
    usage_from: int = 0,
    items_from: int = 0,
    partition: int = 0,
    closed: tuple[int, ...] = (),
) -> PartitionFlush:
    """The flush of a worker that begins with nothing and applies events from an offset of each topic on."""
    state = JoinPartition(partition, 10**17, RULES, PRICES)
    buffer = FlushBuffer(state, epoch)
    for is_usage, side, events, first in (
        (True, state.usage, usage, usage_from),
        (False, state.items, items, items_from),
    ):
        frame = (usage_frame if is_usage else item_frame)(events, first)
        (state.apply_usage if is_usage else state.apply_items)(frame)
        side.closed, side.next_offset = closed, first + len(events)
        buffer.add(is_usage, frame, None, [], len(events))
    flush = buffer.cut()
    assert flush is not None
    return flush


def write(store: Store, *flushes: PartitionFlush) -> None:
    Sink(store, "w").write(flushes)


def spent(number: int, **changes: Any) -> Event:
    """Usage of I-1, a minute apart."""
    return usage_event(f"u{number}", at(1, 9, number % 60), **{"work_item_id": "I-1", "model": "gpt-5"} | changes)


class StoreConformance:
    """The suite."""

    def test_a_higher_version_replaces_whenever_it_comes(self, store: Store) -> None:
        low, high = flush_of([spent(1)], epoch=1), flush_of([spent(1), spent(2)], epoch=2)
        for order in ((low, high), (high, low)):
            for flush in order:
                write(store, flush)
            (line,) = self.read(store, "lines", **TRUST, **ITEMS)
            assert line["requests"] == 2

    def test_the_same_rows_again_change_nothing(self, store: Store) -> None:
        flush = flush_of([spent(1), spent(2, prompt_fingerprint="f")], [item_event("i1", at(1), "started")])
        write(store, flush)
        before = {
            name: rows_of(name, store.read(f"recovery/{name}", **parameters)) for name, parameters in QUESTIONS.items()
        }
        assert all(before.values()), before
        write(store, flush)
        assert before == {
            name: rows_of(name, store.read(f"recovery/{name}", **parameters)) for name, parameters in QUESTIONS.items()
        }

    @pytest.mark.parametrize("column", ["tenant", "team", "tool", "model", "work_item_id"])
    def test_every_part_of_a_key_counts(self, store: Store, column: str) -> None:
        write(store, flush_of([spent(1), spent(2, **{column: "other"})]))
        assert len(self.read(store, "lines", **TRUST, **ITEMS)) == 2
        assert len(self.read(store, "panes", **TRUST, **PANES)) == (1 if column == "work_item_id" else 2)

    def test_partitions_do_not_see_each_other(self, store: Store) -> None:
        write(store, flush_of([spent(1)], partition=0), flush_of([spent(1), spent(2)], partition=7))
        for kpart, requests in ((0, 1), (7, 2), (3, None)):
            found = self.read(store, "lines", **TRUST | ITEMS | {"kpart": kpart})
            assert [line["requests"] for line in found] == ([] if requests is None else [requests])

    @pytest.mark.parametrize(("usage_next", "items_next", "trusted"), [(2, 1, 1), (9, 9, 1), (1, 1, 0), (2, 0, 0)])
    def test_a_row_is_trusted_up_to_the_offsets_that_it_covers(
        self, store: Store, usage_next: int, items_next: int, trusted: int
    ) -> None:
        write(store, flush_of([spent(1), spent(2)], [item_event("i1", at(1), "started")]))
        at_position = TRUST | {"usage_next": usage_next, "items_next": items_next}
        for name, keys in (("lines", ITEMS), ("panes", PANES), ("items", ITEMS)):
            (row,) = self.read(store, name, **at_position, **keys)
            assert row["trusted"] == trusted, name

    @pytest.mark.parametrize(
        ("since", "trusted"),
        [(3 << EPOCH_SHIFT, 1), ((3 << EPOCH_SHIFT) + 1, 1), ((3 << EPOCH_SHIFT) + 2, 0), (4 << EPOCH_SHIFT, 0)],
    )
    def test_a_row_is_trusted_from_a_version_on(self, store: Store, since: int, trusted: int) -> None:
        write(store, flush_of([spent(1)], [item_event("i1", at(1), "started")], epoch=3))
        for name, keys in (("lines", ITEMS), ("panes", PANES), ("items", ITEMS)):
            (row,) = self.read(store, name, **TRUST | {"since": since}, **keys)
            assert row["trusted"] == trusted, name

    def test_of_a_closed_incarnation_raw_rows_count_below_its_end(self, store: Store) -> None:
        write(store, flush_of([spent(number) for number in range(5)]))
        write(store, flush_of([spent(number) for number in range(5, 8)], epoch=2, closed=(3,)))
        counted = {**ITEMS, "kpart": 0, "usage_ends": [3, 2]}
        found = self.read(store, "usage_of_items", **counted)
        assert sorted(row["event_id"] for row in found) == ["u0", "u1", "u2", "u5", "u6"]
        (row,) = self.read(store, "fates", kpart=0, incarnation=1, usage_ends=[3, 2], items_ends=[0, 0], **TOPICS)
        assert (row["usage_applied"], row["usage_watermark"]) == (2, at(1, 9, 6))

    def test_stored_items_are_named_by_their_hashes(self, store: Store) -> None:
        write(
            store,
            flush_of(
                [spent(1), spent(2, work_item_id="I-2"), spent(3, work_item_id="")],
                [item_event("i1", at(1), "sized", work_item_id="é/\0")],
            ),
        )
        names = [row["hash"] for row in self.read(store, "item_hashes", kpart=0, raw=0)]
        assert sorted(names) == sorted(item_hash("acme", name) for name in ("I-1", "I-2", "é/\0"))
        assert self.read(store, "item_hashes", kpart=1, raw=1) == []

    def test_lives_are_read_oldest_first(self, store: Store) -> None:
        lives = [
            Incarnation(0, 1, "b", "c", LIVES, LIVES, 7, "why"),
            Incarnation(0, 0, "a", "c", 12, 5, 1, "first read"),
        ]
        write_incarnations(Sink(store, "w"), [replace(lives[1], usage_end=LIVES)], 1, 0)
        write_incarnations(Sink(store, "w"), lives, 7, 0)
        assert incarnations(store, [0, 3]) == {0: lives[::-1], 3: []}

    def test_raw_rows_count_below_the_position_only(self, store: Store) -> None:
        write(store, flush_of([spent(number) for number in range(5)], usage_from=10))
        pane = at(1, 9) // PANE_US * 300
        for name, parameters in (
            ("usage_of_items", {"tenants": ["acme"], "items": ["I-1"]}),
            ("usage_of_panes", {"pane_seconds": [pane], **ALWAYS}),
            ("recent_ids", ALWAYS),
        ):
            found = self.read(store, name, kpart=0, usage_ends=[13], **parameters)
            assert sorted(row["event_id"] for row in found) == ["u0", "u1", "u2"], name

    def test_old_usage_is_found_by_identity_or_by_prompt_in_its_pane(self, store: Store) -> None:
        events = [
            spent(1), spent(2, prompt_fingerprint="f"), spent(3, prompt_fingerprint="g"), spent(20, prompt_fingerprint="f"), spent(4),
        ]  # fmt: skip
        write(store, flush_of(events))
        pane = at(1, 9) // PANE_US * 300
        found = self.read(
            store, "old_usage", kpart=0, ends=[5], ids=["u1", "nobody"], prompts=["f"], pane_seconds=[pane]
        )
        assert sorted(row["event_id"] for row in found) == ["u1", "u2"]
        assert self.read(store, "old_usage", kpart=0, ends=[0], ids=["u1"], prompts=[], pane_seconds=[]) == []
        assert self.read(store, "old_items", kpart=0, ends=[5], ids=["u1"]) == []

    def test_recent_means_from_a_time_on(self, store: Store) -> None:
        write(
            store,
            flush_of([spent(1), spent(2)], [item_event("i1", at(1), "started"), item_event("i2", at(2), "completed")]),
        )
        found = self.read(store, "recent_ids", kpart=0, usage_ends=[9], since=at(1, 9, 2), until=at(1, 10))
        assert [row["event_id"] for row in found] == ["u2"]
        found = self.read(store, "recent_items", kpart=0, items_ends=[9], since=at(2))
        assert [(row["event_id"], row["occurred_at"]) for row in found] == [("i2", at(2))]

    def test_the_rows_of_one_flush_are_found_by_their_version(self, store: Store) -> None:
        done = [item_event("i1", at(1), "started"), item_event("i2", at(2), "completed", item_type="story", team="pay")]
        old, new = flush_of([spent(1)], epoch=1), flush_of([spent(number) for number in range(3)], done, epoch=2)
        write(store, old)
        write(store, new)
        for name in ("flushed_panes", "flushed_actors", "flushed_bookings"):
            assert self.read(store, name, kpart=0, version=new.version), name
            assert self.read(store, name, kpart=0, version=new.version + 1) == [], name
        credited = self.read(store, "flushed_bookings", kpart=0, version=new.version)
        assert sum(row["value_credited_milli"] for row in credited) == 1000

    def test_epochs_and_mirrors(self, store: Store) -> None:
        assert self.read(store, "claimed_epochs", kparts=[0, 1]) == []
        sink = Sink(store, "w")
        for epoch in (1, 3, 2):
            sink.rows("claims", claims((0, epoch), (1, 1)))
        found = self.read(store, "claimed_epochs", kparts=[0, 1, 2])
        assert {row["kpart"]: row["epoch"] for row in found} == {0: 3, 1: 1}
        # An epoch is the time in seconds, so that a store which was restored hands none out again that it has forgotten.
        assert claim(store, sink, [0, 1], 2_000_000) == {0: Claim(4, 3), 1: Claim(2, 1)}
        assert claim(store, sink, [0, 2], 9_000_000) == {0: Claim(9, 4), 2: Claim(9, 0)}
        write(store, flush_of([spent(1)], epoch=5))
        write(store, flush_of([spent(1), spent(2)], epoch=4))
        (mirror,) = self.read(store, "mirror", kparts=[0, 1])
        assert (mirror["kpart"], mirror["usage_next"], mirror["version"] >> EPOCH_SHIFT) == (0, 1, 5)

    def test_records_are_counted_by_offset(self, store: Store) -> None:
        for epoch in (1, 2):
            write(store, flush_of([spent(1), spent(2)], [item_event("i1", at(3), "started")], epoch=epoch))
        (found,) = self.read(store, "fates", **COUNTED, **TOPICS)
        assert (found["usage_applied"], found["items_applied"]) == (2, 1)
        assert (found["usage_watermark"], found["items_watermark"]) == (at(1, 9, 2), at(3))
        (found,) = self.read(store, "fates", **COUNTED | {"usage_ends": [1], "items_ends": [0]}, **TOPICS)
        assert (found["usage_applied"], found["items_applied"], found["items_watermark"]) == (1, 0, 0)

    def test_texts_come_back_as_they_were_and_are_found_as_parameters(self, store: Store) -> None:
        odd = [text for text in ODD_TEXTS if text]
        events = [
            usage_event(f"id{text}"[:256], at(1), work_item_id=text, team=text, prompt_fingerprint=text) for text in odd
        ]
        write(
            store,
            flush_of(events, [item_event(text, at(1), "sized", work_item_id=text, labels=[text, ""]) for text in odd]),
        )
        found = self.read(store, "usage_of_items", kpart=0, usage_ends=[999], tenants=["acme"], items=odd)
        assert sorted((row["event_id"], row["work_item_id"], row["team"]) for row in found) == sorted(
            (event["event_id"], event["work_item_id"], event["team"]) for event in events
        )
        found = self.read(store, "old_items", kpart=0, ends=[999], ids=odd)
        assert sorted(row["event_id"] for row in found) == sorted(odd)
        found = self.read(store, "events_of_items", kpart=0, items_ends=[999], tenants=["acme"], items=odd)
        assert sorted(row["labels"] for row in found) == sorted([text, ""] for text in odd)

    def test_no_rows_have_columns_all_the_same(self, store: Store) -> None:
        for name, parameters in QUESTIONS.items():
            answer = store.read(f"recovery/{name}", **parameters)
            assert set(ANSWERS[name]) <= set(answer.columns), name
            assert len(answer) == (name == "fates"), name

    @staticmethod
    def read(store: Store, name: str, **parameters: Any) -> list[Row]:
        answer = store.read(f"recovery/{name}", **parameters).select(list(ANSWERS[name]))
        return [{column: plain(value) for column, value in row.items()} for row in answer.iter_rows(named=True)]


def claims(*tenures: tuple[int, int]) -> pl.DataFrame:
    """Rows of claims: (partition, epoch)."""
    return pl.DataFrame(
        [(kpart, epoch, "w", 0) for kpart, epoch in tenures],
        schema={"kpart": pl.UInt16, "epoch": pl.UInt64, "worker": pl.String, "claimed_at": pl.Datetime("us", "UTC")},
        orient="row",
    )


class Both:
    """A store that asks two, and fails when they answer differently."""

    def __init__(self, one: Store, other: Store) -> None:
        self.one, self.other = one, other

    def insert(self, table: str, rows: pa.Table) -> None:
        self.one.insert(table, rows)
        self.other.insert(table, rows)

    def read(self, name: str, **parameters: Any) -> pl.DataFrame:
        answer: pl.DataFrame = self.one.read(name, **parameters)
        again = self.other.read(name, **parameters)
        short = name.removeprefix("recovery/")
        assert rows_of(short, answer) == rows_of(short, again), f"{name} {parameters}"
        return answer

    def rows(self, table: str) -> list[Row]:
        found: list[Row] = self.one.rows(table)  # type: ignore[attr-defined]
        return found


def all_versions(rows: Iterable[Row]) -> list[int]:
    """The versions of rows, and one that no row has."""
    return [*sorted({row["version"] for row in rows}), 1 << 60]


TRUST = {"kpart": 0, "since": 0, "usage_next": 99, "items_next": 99}
TOPICS = {"usage_topic": USAGE_TOPIC, "items_topic": ITEMS_TOPIC}
COUNTED = {"kpart": 0, "incarnation": 0, "usage_ends": [99], "items_ends": [99]}
ALWAYS = {"since": 0, "until": 1 << 52}
ITEMS = {"tenants": ["acme", "other"], "items": ["I-1", "other"]}
PANES = {"tenants": ["acme", "other"], "teams": ["pay", "other"], "pane_seconds": [at(1, 9) // PANE_US * 300]}
USAGE = {"kpart": 0, "usage_ends": [99]}
QUESTIONS: dict[str, dict[str, Any]] = {
    "fates": COUNTED | TOPICS,
    "lines": TRUST | ITEMS,
    "panes": TRUST | PANES,
    "items": TRUST | ITEMS,
    "item_hashes": {"kpart": 0, "raw": 1},
    "usage_of_items": USAGE | ITEMS,
    "usage_of_panes": USAGE | ALWAYS | {"pane_seconds": PANES["pane_seconds"]},
    "events_of_items": {"kpart": 0, "items_ends": [99]} | ITEMS,
    "recent_ids": USAGE | ALWAYS,
    "recent_prompts": USAGE | ALWAYS,
    "recent_items": {"kpart": 0, "items_ends": [99], "since": 0},
    "old_usage": {"kpart": 0, "ends": [99], "ids": ["u1"], "prompts": [], "pane_seconds": []},
    "old_items": {"kpart": 0, "ends": [99], "ids": ["i1"]},
    "mirror": {"kparts": [0]},
}
"""Every query but those of single versions, lives and claims, with parameters that ask for everything."""
