"""A store in memory: replacing tables and the named queries of recovery, in plain Python. Passes the conformance suite of the sink."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa

from streams.join.outcome import ItemEvent
from streams.join.partition import LINE_SCHEMA, PANE_SCHEMA
from streams.windows.measures import LINE_MEASURES, OUTCOME_MEASURES, PANE_US, USAGE_MEASURES

Row = dict[str, Any]

IDENTITY = {
    "usage_events": ("kpart", "tenant", "team", "hour", "event_id"),
    "work_item_events": ("kpart", "tenant", "team", "hour", "event_id"),
    "work_item_usage": ("kpart", "tenant", "work_item_id", "usage_day", "team", "tool", "model"),
    "work_items": ("kpart", "tenant", "work_item_id"),
    "panes": ("kpart", "tenant", "team", "tool", "model", "pane_start"),
    "pane_actors": ("kpart", "tenant", "team", "tool", "model", "pane_start", "actor_hash"),
    "checkpoints": ("kpart",),
    "claims": ("kpart", "epoch"),
    "dead_letters": ("topic", "kpart", "koff"),
    "duplicates": ("topic", "kpart", "koff"),
}

USAGE_IDENTITY = (
    "tenant",
    "event_id",
    "occurred_at",
    "team",
    "tool",
    "model",
    "work_item_id",
    "session_id",
    "actor",
    "prompt_fingerprint",
)


EMPTY: dict[str, Any] = {
    "lines": {**LINE_SCHEMA, **dict.fromkeys(LINE_MEASURES, pl.Int64), "last_at": pl.Int64, "trusted": pl.Int64},
    "panes": {**PANE_SCHEMA, **dict.fromkeys(USAGE_MEASURES, pl.Int64), "trusted": pl.Int64},
}
"""Columns of answers without rows."""


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
                found["hour"] = found["occurred_at"] // 3_600_000_000
            key = tuple(found[name] for name in IDENTITY[table])
            held = self.tables[table].get(key)
            if held is None or held.get("version", 0) <= found.get("version", 0):
                self.tables[table][key] = found

    def read(self, name: str, **parameters: Any) -> pl.DataFrame:
        answer = getattr(self, "_" + name.removeprefix("recovery/"))(**parameters)
        if isinstance(answer, pl.DataFrame):
            return answer
        return _frame(answer) if answer else pl.DataFrame(schema=EMPTY.get(name.removeprefix("recovery/"), {}))

    def rows(self, table: str) -> list[Row]:
        return list(self.tables[table].values())

    def _of(self, table: str, kpart: int, below: int | None = None) -> list[Row]:
        found = [row for row in self.rows(table) if row["kpart"] == kpart and (below is None or row["koff"] < below)]
        return sorted(found, key=lambda row: row.get("koff", 0))

    def _claimed_epochs(self, kparts: list[int]) -> pl.DataFrame:
        best: dict[int, int] = {}
        for row in self.rows("claims"):
            if row["kpart"] in kparts:
                best[row["kpart"]] = max(best.get(row["kpart"], 0), row["epoch"])
        return pl.DataFrame(list(best.items()), schema=["kpart", "epoch"], orient="row")

    def _mirror(self, kparts: list[int]) -> list[Row]:
        return [row for row in self.rows("checkpoints") if row["kpart"] in kparts]

    def _fates(self, kpart: int, usage_next: int, items_next: int, usage_topic: str, items_topic: str) -> list[Row]:
        out: Row = {}
        for side, table, topic, below in (
            ("usage", "usage_events", usage_topic, usage_next),
            ("items", "work_item_events", items_topic, items_next),
        ):
            raw = self._of(table, kpart, below)
            out[f"{side}_applied"] = len(raw)
            out[f"{side}_watermark"] = max((row["occurred_at"] for row in raw), default=0)
            for fate in ("duplicates", "dead_letters"):
                found = [row for row in self._of(fate, kpart, below) if row["topic"] == topic]
                out[f"{side}_{fate.replace('dead_letters', 'dead')}"] = len(found)
        return [out]

    def _trusted(self, table: str, kpart: int, usage_next: int, items_next: int) -> list[Row]:
        return [
            {**row, "trusted": int(row["usage_next"] <= usage_next and row["items_next"] <= items_next)}
            for row in self._of(table, kpart)
        ]

    def _lines(self, **at: int) -> list[Row]:
        return self._trusted("work_item_usage", **at)

    def _panes(self, **at: int) -> list[Row]:
        return self._trusted("panes", **at)

    def _items(self, **at: int) -> pl.DataFrame:
        rows = [
            {
                "tenant": row["tenant"],
                "work_item_id": row["work_item_id"],
                "history": [tuple(h.values()) for h in row["history"]],
                "booked": list(
                    {
                        tuple(b[k] for k in ("at", "team", "tool", "model", "work_class"))
                        for b in row["bookings"]
                        if b["kind"] != "moved"
                    }
                ),
                "version": row["version"],
                "trusted": row["trusted"],
            }
            for row in self._trusted("work_items", **at)
        ]
        return pl.DataFrame(
            {
                name: pl.Series([row[name] for row in rows], dtype=pl.Object if name in ("history", "booked") else None)
                for name in ("tenant", "work_item_id", "history", "booked", "version", "trusted")
            }
        )

    def _usage_of_items(self, kpart: int, usage_next: int, tenants: list[str], items: list[str]) -> list[Row]:
        return [
            r
            for r in self._of("usage_events", kpart, usage_next)
            if r["tenant"] in tenants and r["work_item_id"] in items
        ]

    def _usage_of_panes(self, kpart: int, usage_next: int, pane_seconds: list[int]) -> list[Row]:
        return [
            r for r in self._of("usage_events", kpart, usage_next) if r["occurred_at"] // PANE_US * 300 in pane_seconds
        ]

    def _events_of_items(self, kpart: int, items_next: int, tenants: list[str], items: list[str]) -> pl.DataFrame:
        rows = [
            r
            for r in self._of("work_item_events", kpart, items_next)
            if r["tenant"] in tenants and r["work_item_id"] in items
        ]
        columns = ("tenant", "work_item_id", *ItemEvent._fields)
        return (
            pl.DataFrame([{c: r[c] for c in columns} for r in rows], schema_overrides={"labels": pl.List(pl.String)})
            if rows
            else pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
        )

    def _recent_usage(self, kpart: int, usage_next: int, since: int) -> pl.DataFrame:
        return _frame(
            (
                {k: r[k] for k in USAGE_IDENTITY}
                for r in self._of("usage_events", kpart, usage_next)
                if r["occurred_at"] >= since
            ),
            USAGE_IDENTITY,
        )

    def _recent_items(self, kpart: int, items_next: int, since: int) -> pl.DataFrame:
        names = ("tenant", "event_id", "occurred_at")
        return _frame(
            (
                {k: r[k] for k in names}
                for r in self._of("work_item_events", kpart, items_next)
                if r["occurred_at"] >= since
            ),
            names,
        )

    def _old_usage(
        self, kpart: int, below: int, ids: list[str], prompts: list[str], pane_seconds: list[int]
    ) -> pl.DataFrame:
        rows = (
            {k: r[k] for k in USAGE_IDENTITY}
            for r in self._of("usage_events", kpart, below)
            if r["event_id"] in ids
            or (r["prompt_fingerprint"] in prompts and r["occurred_at"] // PANE_US * 300 in pane_seconds)
        )
        return _frame(rows, USAGE_IDENTITY)

    def _old_items(self, kpart: int, below: int, ids: list[str]) -> pl.DataFrame:
        names = ("tenant", "event_id", "occurred_at")
        return _frame(
            ({k: r[k] for k in names} for r in self._of("work_item_events", kpart, below) if r["event_id"] in ids),
            names,
        )


def logical(store: Any) -> dict[str, dict[tuple[Any, ...], tuple[int, ...]]]:
    """What analysts see: ledger lines, panes, bookings by pane and items, summed over kpart, without versions and all-zero rows."""
    out: dict[str, dict[tuple[Any, ...], Any]] = {"lines": {}, "panes": {}, "bookings": {}, "items": {}, "actors": {}}
    for table, name in (("work_item_usage", "lines"), ("panes", "panes")):
        key = IDENTITY[table][1:]
        sums: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in store.rows(table):
            for measure, value in row.items():
                if measure not in (*key, "kpart", "version", "usage_next", "items_next", "last_at"):
                    sums[tuple(row[k] for k in key)][measure] += value
        out[name] = {
            k: tuple(sorted((m, v) for m, v in row.items() if v)) for k, row in sums.items() if any(row.values())
        }
    out["actors"] = {tuple(row[k] for k in IDENTITY["pane_actors"][1:]): (1,) for row in store.rows("pane_actors")}
    for row in store.rows("work_items"):
        names = (
            "state",
            "team",
            "item_type",
            "size_milli",
            "rule",
            "work_class",
            "assistance",
            "value_milli",
            "container",
            "evidence",
            "completed_at",
            "canceled_at",
        )
        out["items"][row["tenant"], row["work_item_id"]] = tuple(row[n] for n in names)
        for b in row["bookings"]:
            key = (row["tenant"], b["team"], b["tool"], b["model"], b["work_class"], b["at"] // PANE_US * PANE_US)
            held = out["bookings"].setdefault(key, [0] * len(OUTCOME_MEASURES))
            for i, measure in enumerate(OUTCOME_MEASURES):
                held[i] += b[measure]
    out["bookings"] = {
        k: {m: n for m, n in zip(OUTCOME_MEASURES, v, strict=True) if n} for k, v in out["bookings"].items() if any(v)
    }
    return out


def plain(value: Any) -> Any:
    """A value as an integer, a text, or lists and dicts of these: times in us, days as days since 1970."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1e6)
    if hasattr(value, "toordinal"):
        return (value.toordinal() - 719163) if not isinstance(value, int) else value
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def _frame(rows: Iterable[Row], columns: tuple[str, ...] = ()) -> pl.DataFrame:
    found = list(rows)
    if not found:
        return pl.DataFrame(schema={c: pl.Int64 if c == "occurred_at" else pl.String for c in columns})
    return pl.DataFrame(
        found,
        infer_schema_length=None,
        schema_overrides={"cost_micro_usd": pl.Int64} if "cost_micro_usd" in found[0] else None,
    )
