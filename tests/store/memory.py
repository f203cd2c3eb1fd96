"""A store in memory: replacing tables and the named queries of recovery, in plain Python. Passes the conformance suite of the sink."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any

import polars as pl
import pyarrow as pa

from streams.join.keys import ACTOR_SCHEMA, LINE_SCHEMA, PANE_SCHEMA
from streams.join.outcome import ItemEvent
from streams.store.positions import Incarnation, Mirror
from streams.windows.measures import LINE_MEASURES, OUTCOME_MEASURES, PANE_US, USAGE_MEASURES
from tests.frames import ITEM_SCHEMA, USAGE_SCHEMA, item_hash

Row = dict[str, Any]

HOUR_US = 3_600_000_000
DAY_1970 = date(1970, 1, 1).toordinal()

IDENTITY = {
    "usage_events": ("kpart", "tenant", "team", "hour", "event_id"),
    "work_item_events": ("kpart", "tenant", "team", "hour", "event_id"),
    "work_item_usage": ("kpart", "tenant", "work_item_id", "usage_day", "team", "tool", "model"),
    "work_items": ("kpart", "tenant", "work_item_id"),
    "panes": ("kpart", "tenant", "team", "tool", "model", "pane_start"),
    "pane_actors": ("kpart", "tenant", "team", "tool", "model", "pane_start", "actor_hash"),
    "checkpoints": ("kpart",),
    "claims": ("kpart", "epoch"),
    "dead_letters": ("topic", "kpart", "incarnation", "koff"),
    "duplicates": ("topic", "kpart", "incarnation", "koff"),
    "incarnations": ("kpart", "incarnation"),
    "rebuilds": ("kpart", "requested_at"),
}

_COUNTS = ("applied", "duplicates", "dead", "watermark")
_PLACE = {"kpart": pl.Int64}
_TEXTS = ("usage_topic_id", "items_topic_id", "reason")
_HISTORY = pl.Struct({name: ITEM_SCHEMA[name] for name in ItemEvent._fields})
_BOOKED = pl.Struct({"at": pl.Int64, **dict.fromkeys(("team", "tool", "model", "work_class"), pl.String)})
_RAW_USAGE = {name: kind for name, kind in USAGE_SCHEMA.items() if name not in ("offset", "appended_at")}
_IDENTITY = ("tenant", "event_id", "occurred_at")
_USAGE_IDENTITY = (*_IDENTITY, "team", "tool", "model", "work_item_id", "session_id", "actor", "prompt_fingerprint")

ANSWERS: dict[str, dict[str, Any]] = {
    "claimed_epochs": {"kpart": pl.Int64, "epoch": pl.UInt64},
    "mirror": {**_PLACE, **dict.fromkeys(Mirror.__slots__, pl.Int64)},
    "incarnations": {name: pl.String if name in _TEXTS else pl.Int64 for name in Incarnation.__slots__},
    "item_hashes": {"hash": pl.UInt64},
    "fates": {f"{side}_{name}": pl.Int64 for side in ("usage", "items") for name in _COUNTS},
    "lines": {**LINE_SCHEMA, **dict.fromkeys(LINE_MEASURES, pl.Int64), "last_at": pl.Int64, "trusted": pl.Int64},
    "panes": {**PANE_SCHEMA, **dict.fromkeys(USAGE_MEASURES, pl.Int64), "trusted": pl.Int64},
    "items": {"tenant": pl.String, "work_item_id": pl.String, "history": pl.List(_HISTORY), "booked": pl.List(_BOOKED), "trusted": pl.Int64},
    "usage_of_items": {**_RAW_USAGE, "koff": pl.Int64},
    "usage_of_panes": {**_RAW_USAGE, "koff": pl.Int64},
    "events_of_items": {name: ITEM_SCHEMA[name] for name in ("tenant", "work_item_id", *ItemEvent._fields)},
    "recent_ids": {name: USAGE_SCHEMA[name] for name in _IDENTITY},
    "recent_prompts": {name: USAGE_SCHEMA[name] for name in _USAGE_IDENTITY},
    "old_usage": {name: USAGE_SCHEMA[name] for name in _USAGE_IDENTITY},
    "recent_items": {name: ITEM_SCHEMA[name] for name in _IDENTITY},
    "old_items": {name: ITEM_SCHEMA[name] for name in _IDENTITY},
    "flushed_panes": {**_PLACE, **PANE_SCHEMA, **dict.fromkeys(USAGE_MEASURES, pl.Int64), "version": pl.UInt64},
    "flushed_actors": {**_PLACE, **ACTOR_SCHEMA},
    "flushed_bookings": {
        **_PLACE, "tenant": pl.String, "work_item_id": pl.String, "at": pl.Int64, "kind": pl.String,
        **dict.fromkeys(("team", "tool", "model", "work_class"), pl.String), **dict.fromkeys(OUTCOME_MEASURES, pl.Int64), "version": pl.UInt64,
    },
}  # fmt: skip
"""The columns of each query of recovery that its readers use."""


class MemoryStore:
    """Rows by identity; a row with a higher or equal version replaces."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[tuple[Any, ...], Row]] = defaultdict(dict)

    def insert(self, table: str, rows: pa.Table) -> None:
        frame = pl.from_arrow(rows)
        assert isinstance(frame, pl.DataFrame)
        for row in frame.iter_rows(named=True):
            found = {name: plain(value) for name, value in row.items()}
            if "occurred_at" in found:
                found["hour"] = found["occurred_at"] // HOUR_US
            key = tuple(found[name] for name in IDENTITY[table])
            held = self.tables[table].get(key)
            if held is None or held.get("version", 0) <= found.get("version", 0):
                self.tables[table][key] = found

    def read(self, name: str, **parameters: Any) -> pl.DataFrame:
        name = name.removeprefix("recovery/")
        columns = ANSWERS[name]
        answer: Callable[..., Iterable[Row]] = getattr(self, f"_{name}")
        found = [[row[column] for column in columns] for row in answer(**parameters)]
        return pl.DataFrame(found, schema=columns, orient="row")

    def rows(self, table: str) -> list[Row]:
        """The surviving rows; times in us, days as days since 1970."""
        return list(self.tables[table].values())

    def _of(self, table: str, kpart: int, ends: list[int] | None = None) -> list[Row]:
        """Rows of a partition, in the order of offsets; with `ends` those that count: below the end of their incarnation."""
        found = [row for row in self.rows(table) if row["kpart"] == kpart]
        if ends is not None:
            found = [row for row in found if row["incarnation"] < len(ends) and row["koff"] < ends[row["incarnation"]]]
        return sorted(found, key=lambda row: (row.get("incarnation", 0), row.get("koff", 0)))

    def _claimed_epochs(self, kparts: list[int]) -> Iterable[Row]:
        best: dict[int, int] = {}
        for row in self.rows("claims"):
            if row["kpart"] in kparts:
                best[row["kpart"]] = max(best.get(row["kpart"], 0), row["epoch"])
        return [{"kpart": kpart, "epoch": epoch} for kpart, epoch in best.items()]

    def _mirror(self, kparts: list[int]) -> Iterable[Row]:
        return [row for row in self.rows("checkpoints") if row["kpart"] in kparts]

    def _incarnations(self, kparts: list[int]) -> Iterable[Row]:
        found = [row for row in self.rows("incarnations") if row["kpart"] in kparts]
        return sorted(found, key=lambda row: (row["kpart"], row["incarnation"]))

    def _item_hashes(self, kpart: int, raw: int) -> Iterable[Row]:
        tables = ("work_items", "work_item_usage", *(("usage_events", "work_item_events") if raw else ()))
        names = {(row["tenant"], row["work_item_id"]) for table in tables for row in self._of(table, kpart)}
        return [{"hash": item_hash(*name)} for name in sorted(names) if name[1]]

    def _fates(
        self,
        kpart: int,
        incarnation: int,
        usage_ends: list[int],
        items_ends: list[int],
        usage_topic: str,
        items_topic: str,
    ) -> Iterable[Row]:
        out: Row = {}
        for side, table, topic, ends in (
            ("usage", "usage_events", usage_topic, usage_ends),
            ("items", "work_item_events", items_topic, items_ends),
        ):
            raw = self._of(table, kpart, ends)
            out[f"{side}_applied"] = sum(row["incarnation"] == incarnation for row in raw)
            out[f"{side}_watermark"] = max((row["occurred_at"] for row in raw), default=0)
            for fate in ("duplicates", "dead_letters"):
                found = [
                    row
                    for row in self._of(fate, kpart, ends)
                    if row["topic"] == topic and row["incarnation"] == incarnation
                ]
                out[f"{side}_{fate.removesuffix('_letters')}"] = len(found)
        return [out]

    def _trusted(self, table: str, kpart: int, since: int, usage_next: int, items_next: int) -> list[Row]:
        return [
            {
                **row,
                "trusted": int(
                    row["version"] >= since and row["usage_next"] <= usage_next and row["items_next"] <= items_next
                ),
            }
            for row in self._of(table, kpart)
        ]

    def _lines(self, tenants: list[str], items: list[str], **at: int) -> Iterable[Row]:
        return _named(self._trusted("work_item_usage", **at), tenants, items)

    def _panes(self, tenants: list[str], teams: list[str], pane_seconds: list[int], **at: int) -> Iterable[Row]:
        return [
            row
            for row in self._trusted("panes", **at)
            if row["tenant"] in tenants and row["team"] in teams and row["pane_start"] // 1_000_000 in pane_seconds
        ]

    def _items(self, tenants: list[str], items: list[str], **at: int) -> Iterable[Row]:
        for row in _named(self._trusted("work_items", **at), tenants, items):
            booked = [
                {name: b[name] for name in ("at", "team", "tool", "model", "work_class")} for b in row["bookings"]
            ]
            yield {**row, "booked": [b for i, b in enumerate(booked) if b not in booked[:i]]}

    def _usage_of_items(self, kpart: int, usage_ends: list[int], tenants: list[str], items: list[str]) -> Iterable[Row]:
        return _named(self._of("usage_events", kpart, usage_ends), tenants, items)

    def _usage_of_panes(
        self, kpart: int, usage_ends: list[int], since: int, until: int, pane_seconds: list[int]
    ) -> Iterable[Row]:
        return [
            row
            for row in self._between(kpart, usage_ends, since, until)
            if row["occurred_at"] // PANE_US * 300 in pane_seconds
        ]

    def _between(self, kpart: int, usage_ends: list[int], since: int, until: int) -> list[Row]:
        return [row for row in self._of("usage_events", kpart, usage_ends) if since <= row["occurred_at"] < until]

    def _events_of_items(
        self, kpart: int, items_ends: list[int], tenants: list[str], items: list[str]
    ) -> Iterable[Row]:
        return _named(self._of("work_item_events", kpart, items_ends), tenants, items)

    def _recent_ids(self, **where: Any) -> Iterable[Row]:
        return self._between(**where)

    def _recent_prompts(self, **where: Any) -> Iterable[Row]:
        return [row for row in self._between(**where) if row["prompt_fingerprint"]]

    def _recent_items(self, kpart: int, items_ends: list[int], since: int) -> Iterable[Row]:
        return [row for row in self._of("work_item_events", kpart, items_ends) if row["occurred_at"] >= since]

    def _old_usage(
        self, kpart: int, ends: list[int], ids: list[str], prompts: list[str], pane_seconds: list[int]
    ) -> Iterable[Row]:
        return [
            row
            for row in self._of("usage_events", kpart, ends)
            if row["event_id"] in ids
            or (row["prompt_fingerprint"] in prompts and row["occurred_at"] // PANE_US * 300 in pane_seconds)
        ]

    def _old_items(self, kpart: int, ends: list[int], ids: list[str]) -> Iterable[Row]:
        return [row for row in self._of("work_item_events", kpart, ends) if row["event_id"] in ids]

    def _flushed(self, table: str, kpart: int, version: int) -> list[Row]:
        return [row for row in self._of(table, kpart) if row["version"] == version]

    def _flushed_panes(self, kpart: int, version: int) -> Iterable[Row]:
        return self._flushed("panes", kpart, version)

    def _flushed_actors(self, kpart: int, version: int) -> Iterable[Row]:
        return self._flushed("pane_actors", kpart, version)

    def _flushed_bookings(self, kpart: int, version: int) -> Iterable[Row]:
        for row in self._flushed("work_items", kpart, version):
            for booking in row["bookings"]:
                yield {**booking, **{name: row[name] for name in ("kpart", "tenant", "work_item_id", "version")}}


def _named(rows: Iterable[Row], tenants: list[str], items: list[str]) -> list[Row]:
    return [row for row in rows if row["tenant"] in tenants and row["work_item_id"] in items]


def logical(store: Any) -> dict[str, dict[tuple[Any, ...], Any]]:
    """What analysts see: ledger lines, panes, bookings by pane and items, summed over kpart, without versions and all-zero rows."""
    out: dict[str, dict[tuple[Any, ...], Any]] = {"bookings": {}, "items": {}}
    for table, name, measures in (("work_item_usage", "lines", LINE_MEASURES), ("panes", "panes", USAGE_MEASURES)):
        sums: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in store.rows(table):
            for measure in measures:
                sums[tuple(row[k] for k in IDENTITY[table][1:])][measure] += row[measure]
        out[name] = {
            k: tuple(sorted((m, v) for m, v in row.items() if v)) for k, row in sums.items() if any(row.values())
        }
    out["actors"] = {tuple(row[k] for k in IDENTITY["pane_actors"][1:]): (1,) for row in store.rows("pane_actors")}
    for row in store.rows("work_items"):
        if not row["history"]:
            continue
        names = (
            "state", "team", "item_type", "size_milli", "rule", "work_class", "assistance", "value_milli", "container", "evidence",
            "completed_at", "canceled_at",
        )  # fmt: skip
        out["items"][row["tenant"], row["work_item_id"]] = tuple(row[n] for n in names)
        for b in row["bookings"]:
            key = (row["tenant"], b["team"], b["tool"], b["model"], b["work_class"], b["at"] // PANE_US * PANE_US)
            held = out["bookings"].setdefault(key, dict.fromkeys(OUTCOME_MEASURES, 0))
            for measure in OUTCOME_MEASURES:
                held[measure] += b[measure]
    out["bookings"] = {
        k: {m: n for m, n in held.items() if n} for k, held in out["bookings"].items() if any(held.values())
    }
    return out


def plain(value: Any) -> Any:
    """A value as an integer, a text, or lists and dicts of these: times in us, days as days since 1970."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1e6)
    if isinstance(value, date):
        return value.toordinal() - DAY_1970
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value
