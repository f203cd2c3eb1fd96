"""Taking over a partition: its state at the committed position, from rows that are trusted and raw rows below the position.

A stored row is trusted only if the offsets that it covers are at or below the position. A row beyond it was written by a flush that was
never committed, or by a worker that lost the partition without noticing; its key is recomputed from the raw rows (DESIGN.md §7).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.join.batch import LINE_KEY, PANE_KEY, PROMPT_KEY, line_totals, pane_start, pane_totals, priced_usage
from streams.join.outcome import ItemEvent
from streams.join.partition import UNSEEN, BookingKey, JoinPartition, LoadedItem, item_event, item_events
from streams.store.reading import Stored
from streams.windows.measures import LINE_MEASURES, PANE_US, USAGE_MEASURES

ITEM_KEY: Final = ["tenant", "work_item_id"]
PARAMETER_BYTES: Final = 48 << 10
"""ClickHouse refuses a parameter above 128 KiB, in which a character may be escaped; one above 1 MiB the embedded engine would parse for
every row."""
_QUOTES: Final = 3


def load(stored: Stored, state: JoinPartition) -> None:
    """Fill an empty state whose positions are set (usage.next_offset, items.next_offset)."""
    at = {"kpart": state.partition, "usage_next": state.usage.next_offset, "items_next": state.items.next_offset}
    _load_counts(stored, state, at)
    lines = _load_lines(stored, state, at)
    panes = _load_panes(stored, state, at)
    items = _load_items(stored, at)
    state.load(lines, panes, items)
    state.forget(state.usage.watermark, state.items.watermark)
    _load_identities(stored, state, at)


def _load_counts(stored: Stored, state: JoinPartition, at: dict[str, int]) -> None:
    row = stored.read("recovery/fates", **at, usage_topic=USAGE_TOPIC, items_topic=ITEMS_TOPIC).row(0, named=True)
    for name, read_side in (("usage", state.usage), ("items", state.items)):
        read_side.applied = row[f"{name}_applied"]
        read_side.duplicates = row[f"{name}_duplicates"]
        read_side.dead = row[f"{name}_dead"]
        read_side.watermark = row[f"{name}_watermark"] or UNSEEN


def _load_lines(stored: Stored, state: JoinPartition, at: dict[str, int]) -> pl.DataFrame:
    columns = [*LINE_KEY, *LINE_MEASURES, "last_at"]
    rows = stored.read("recovery/lines", **at)
    trusted = rows.filter(pl.col("trusted") == 1).select(columns)
    doubtful = rows.filter(pl.col("trusted") == 0).select(LINE_KEY)
    if doubtful.is_empty():
        return trusted
    raw = _of_items(stored, "usage_of_items", doubtful, kpart=at["kpart"], usage_next=at["usage_next"])
    if raw.is_empty():
        return trusted
    again = line_totals(priced_usage(raw, state.prices)).join(doubtful, on=LINE_KEY, how="semi")
    return pl.concat([trusted, again.select(columns)], how="vertical_relaxed")


def _load_panes(stored: Stored, state: JoinPartition, at: dict[str, int]) -> pl.DataFrame:
    columns = [*PANE_KEY, *USAGE_MEASURES]
    rows = stored.read("recovery/panes", **at)
    trusted = rows.filter(pl.col("trusted") == 1).select(columns)
    doubtful = rows.filter(pl.col("trusted") == 0).select(PANE_KEY)
    if doubtful.is_empty():
        return trusted
    where = {"kpart": at["kpart"], "usage_next": at["usage_next"]}
    raw = pl.concat(
        stored.read("recovery/usage_of_panes", **where, pane_seconds=_seconds(part))
        for part in _parts(doubtful.select("pane_start").unique())
    )
    if raw.is_empty():
        return trusted
    raw = with_key(priced_usage(raw, state.prices))
    first = (
        raw.select((pl.col("prompt_fingerprint") != "") & pl.struct(PROMPT_KEY).is_first_distinct())
        .to_series()
        .cast(pl.Int64)
    )
    again = pane_totals(raw.with_columns(first_prompt=first)).join(doubtful, on=PANE_KEY, how="semi")
    return pl.concat([trusted, again.select(columns)], how="vertical_relaxed")


def _load_items(stored: Stored, at: dict[str, int]) -> list[LoadedItem]:
    rows = stored.read("recovery/items", **at)
    loaded: list[LoadedItem] = [
        (row["tenant"], row["work_item_id"], _history(row["history"]), _booked(row["booked"]))
        for row in rows.filter(pl.col("trusted") == 1).iter_rows(named=True)
    ]
    doubtful = rows.filter(pl.col("trusted") == 0)
    if doubtful.is_empty():
        return loaded
    raw = _of_items(stored, "events_of_items", doubtful, kpart=at["kpart"], items_next=at["items_next"])
    again: dict[tuple[str, str], list[ItemEvent]] = {}
    for tenant, item, event in item_events(raw):
        again.setdefault((tenant, item), []).append(event)
    # A doubtful item without events below the position needs no state: a later record will name it.
    loaded += [(tenant, item, history, None) for (tenant, item), history in again.items()]
    return loaded


def _history(rows: list[Any]) -> list[ItemEvent]:
    values = (tuple(row.values()) if isinstance(row, dict) else row for row in rows)
    return [item_event(v) for v in values]


def _booked(rows: list[Any]) -> set[BookingKey]:
    values = (tuple(row.values()) if isinstance(row, dict) else row for row in rows)
    return {(v[0] // PANE_US * PANE_US, *v[1:]) for v in values}


def _load_identities(stored: Stored, state: JoinPartition, at: dict[str, int]) -> None:
    usage_since = max(state.usage.watermark - state.horizon_us, 0)
    items_since = max(state.items.watermark - state.horizon_us, 0)
    state.remember_usage(
        with_key(
            stored.read("recovery/recent_usage", kpart=at["kpart"], usage_next=at["usage_next"], since=usage_since)
        )
    )
    state.remember_items(
        stored.read("recovery/recent_items", kpart=at["kpart"], items_next=at["items_next"], since=items_since)
    )


def hydrate_usage(stored: Stored, state: JoinPartition, batch: pl.DataFrame) -> None:
    """Before a usage batch is applied: look up in the store what the dedup index has forgotten."""
    old = state.usage_to_look_up(batch).select("event_id", "prompt_fingerprint", pane_start())
    for part in _parts(old):
        rows = stored.read(
            "recovery/old_usage", kpart=state.partition, below=state.usage.next_offset, ids=_distinct(part, "event_id"),
            prompts=[prompt for prompt in _distinct(part, "prompt_fingerprint") if prompt], pane_seconds=_seconds(part),
        )  # fmt: skip
        state.remember_usage(with_key(rows))


def hydrate_items(stored: Stored, state: JoinPartition, batch: pl.DataFrame) -> None:
    """Likewise before a work-item batch is applied."""
    for part in _parts(state.items_to_look_up(batch).select("event_id")):
        where = {"kpart": state.partition, "below": state.items.next_offset}
        state.remember_items(stored.read("recovery/old_items", **where, ids=_distinct(part, "event_id")))


def _of_items(stored: Stored, name: str, doubtful: pl.DataFrame, **where: int) -> pl.DataFrame:
    """Raw rows of the items of doubtful keys."""
    found = []
    for part in _parts(doubtful.select(ITEM_KEY).unique()):
        tenants, items = _distinct(part, "tenant"), _distinct(part, "work_item_id")
        # Items of two tenants may have one name: each part takes its own.
        found.append(
            stored.read(f"recovery/{name}", **where, tenants=tenants, items=items).join(part, on=ITEM_KEY, how="semi")
        )
    return pl.concat(found)


def _parts(keys: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Keys in parts that fit into the parameters of one query."""
    size = keys.select(pl.sum_horizontal(pl.all().cast(pl.String).str.len_bytes() + _QUOTES)).to_series()
    yield from keys.with_columns(part=size.cum_sum() // PARAMETER_BYTES).partition_by(
        "part", include_key=False, maintain_order=True
    )


def _distinct(keys: pl.DataFrame, column: str) -> list[str]:
    return keys[column].unique(maintain_order=True).to_list()


def _seconds(keys: pl.DataFrame) -> list[int]:
    return (keys["pane_start"].unique(maintain_order=True) // 1_000_000).to_list()


def with_key(usage: pl.DataFrame) -> pl.DataFrame:
    """Usage with its canonical key (DESIGN.md §4), as the decoder makes it."""
    item, session = pl.col("work_item_id"), pl.col("session_id")
    rest = (
        pl.when(item != "")
        .then(item)
        .when(session != "")
        .then("session:" + session)
        .otherwise("event:" + pl.col("event_id"))
    )
    return usage.with_columns(key=pl.concat_str(pl.col("tenant"), pl.lit("/"), rest))
