"""What a partition's state reads from the store: all that a batch needs and memory does not hold, at the partition's position.

A worker that takes over a partition loads only the dedup index and the names of stored items; items and panes come when a record touches them
again, as they do after they were let go of for being idle. There is one way into memory.

A stored row is trusted only if it was written in this incarnation and the offsets that it covers are at or below the position. A row beyond it
was written by a flush that was never committed, or by a worker that lost the partition without noticing; its key is recomputed from the raw
rows below the position (DESIGN.md §7). The rule holds at any later position too: a record between the position of the take-over and the
present one would have touched its keys, and they would be in memory or stored by this tenure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.join.input import UNSEEN
from streams.join.keys import ITEM_KEY, LINE_KEY, LINE_SCHEMA, PANE_KEY, PANE_SCHEMA, pane_start
from streams.join.outcome import ItemEvent
from streams.join.partition import BookingKey, JoinPartition, LoadedItem, computed, item_event, item_events
from streams.store.positions import Mirror
from streams.store.reading import Stored
from streams.windows.measures import DAY_US, LINE_MEASURES, PANE_US, USAGE_MEASURES

PARAMETER_BYTES: Final = 48 << 10
"""ClickHouse refuses a parameter above 128 KiB, in which a character may be escaped; one above 1 MiB the embedded engine would parse for
every row."""
_QUOTES: Final = 3
MOST_STRETCHES: Final = 30
NOT_AT_ALL: Final = (1 << 63) - 1
"""A version above all: no stored row is trusted."""


def load(stored: Stored, state: JoinPartition, mirror: Mirror | None) -> None:
    """Prepare an empty state whose inputs say where it goes on: counts, watermarks, names of stored items, dedup index."""
    _load_counts(stored, state, mirror)
    names = stored.read("recovery/item_hashes", kpart=state.partition, raw=int(state.rebuilding))
    state.expect_stored(names["hash"].to_numpy())
    state.forget(state.usage.watermark, state.items.watermark)
    _load_identities(stored, state)


def _load_counts(stored: Stored, state: JoinPartition, mirror: Mirror | None) -> None:
    """What became of the records so far: as the mirror says if it stands at the position, else counted."""
    sides = (("usage", state.usage), ("items", state.items))
    if mirror is not None and all(getattr(mirror, f"{name}_next") == side.position for name, side in sides):
        row: Any = {name: getattr(mirror, name) for name in Mirror.__slots__}
    else:
        where = {"kpart": state.partition, "incarnation": state.usage.incarnation, **_ends(state)}
        row = stored.read("recovery/fates", **where, usage_topic=USAGE_TOPIC, items_topic=ITEMS_TOPIC).row(
            0, named=True
        )
    for name, side in sides:
        side.applied, side.duplicates, side.dead = (row[f"{name}_{fate}"] for fate in ("applied", "duplicates", "dead"))
        side.watermark = row[f"{name}_watermark"] or UNSEEN


def _load_identities(stored: Stored, state: JoinPartition) -> None:
    where = {"kpart": state.partition, "usage_ends": state.usage.ends}
    for since, until in _stretches(state.usage.watermark, state.horizon_us):
        state.dedup.remember_usage(stored.read("recovery/recent_ids", **where, since=since, until=until))
        state.remember_prompts(stored.read("recovery/recent_prompts", **where, since=since, until=until))
    since = max(state.items.watermark - state.horizon_us, 0)
    state.dedup.remember_items(
        stored.read("recovery/recent_items", kpart=state.partition, items_ends=state.items.ends, since=since)
    )


def _stretches(watermark: int, horizon_us: int) -> Iterator[tuple[int, int]]:
    """The horizon behind a watermark, from the begin of a pane on, in parts of a day or a few more: bounds the memory of a take-over."""
    at = max(watermark - horizon_us, 0) // PANE_US * PANE_US
    step = max(DAY_US, (watermark - at) // MOST_STRETCHES)
    while at <= watermark:
        yield at, at + step
        at += step


# --- what a batch needs -------------------------------------------------------------------------------------------------------------


def hydrate_usage(stored: Stored, state: JoinPartition, batch: pl.DataFrame) -> None:
    """Before a usage batch is applied: load its items and panes that are not in memory, and what the dedup index has forgotten."""
    load_items(stored, state, state.absent_items(batch))
    old = state.dedup.usage_to_look_up(batch).select("event_id", "prompt_fingerprint", pane_start())
    if state.rebuilding or len(batch := batch.filter(pl.col("occurred_at") < state.panes_stored_before)):
        load_panes(stored, state, state.absent_panes(batch.with_columns(pane_start())))
    for part in _parts(old):
        rows = stored.read(
            "recovery/old_usage", kpart=state.partition, ends=state.usage.ends, ids=_distinct(part, "event_id"),
            prompts=[prompt for prompt in _distinct(part, "prompt_fingerprint") if prompt], pane_seconds=_seconds(part),
        )  # fmt: skip
        state.dedup.remember_usage(rows)
        state.remember_prompts(rows)


def hydrate_items(stored: Stored, state: JoinPartition, batch: pl.DataFrame) -> None:
    """Likewise before a work-item batch is applied."""
    load_items(stored, state, state.absent_items(batch))
    for part in _parts(state.dedup.items_to_look_up(batch).select("event_id")):
        where = {"kpart": state.partition, "ends": state.items.ends}
        state.dedup.remember_items(stored.read("recovery/old_items", **where, ids=_distinct(part, "event_id")))


def load_items(stored: Stored, state: JoinPartition, keys: pl.DataFrame) -> None:
    """Load items (ITEM_KEY) that are not in memory: ledger lines, history, bookings."""
    for part in _parts(keys):
        lines = _lines(stored, state, part)
        state.load(lines, pl.DataFrame(schema=PANE_COLUMNS), _items(stored, state, part))


def load_panes(stored: Stored, state: JoinPartition, keys: pl.DataFrame) -> None:
    """Load panes (PANE_KEY) that are not in memory."""
    for part in _parts(keys):
        state.load(pl.DataFrame(schema=LINE_COLUMNS), _panes(stored, state, part), [])


LINE_COLUMNS: Final[dict[str, Any]] = {**LINE_SCHEMA, **dict.fromkeys(LINE_MEASURES, pl.Int64), "last_at": pl.Int64}
PANE_COLUMNS: Final[dict[str, Any]] = {**PANE_SCHEMA, **dict.fromkeys(USAGE_MEASURES, pl.Int64)}


def _at(state: JoinPartition) -> dict[str, int]:
    """The rule of trust, as parameters."""
    return {
        "kpart": state.partition, "usage_next": state.usage.position, "items_next": state.items.position,
        "since": NOT_AT_ALL if state.rebuilding else state.trusted_since,
    }  # fmt: skip


def _ends(state: JoinPartition) -> dict[str, list[int]]:
    """Next offsets of each incarnation, up to which raw rows count."""
    return {"usage_ends": state.usage.ends, "items_ends": state.items.ends}


def _lines(stored: Stored, state: JoinPartition, keys: pl.DataFrame) -> pl.DataFrame:
    where = {"tenants": _distinct(keys, "tenant"), "items": _distinct(keys, "work_item_id")}
    rows = stored.read("recovery/lines", **_at(state), **where).join(keys, on=ITEM_KEY, how="semi")
    doubtful = keys if state.rebuilding else rows.filter(pl.col("trusted") == 0).select(ITEM_KEY).unique()
    trusted = rows.join(doubtful, on=ITEM_KEY, how="anti").select(*LINE_COLUMNS)
    if doubtful.is_empty():
        return trusted
    raw = _of_items(stored, "usage_of_items", doubtful, kpart=state.partition, usage_ends=state.usage.ends)
    again = computed(raw, state.prices).lines if len(raw) else trusted.clear()
    unconfirmed = rows.join(doubtful, on=ITEM_KEY, how="semi").join(again, on=LINE_KEY, how="anti")
    return pl.concat([trusted, again.select(*LINE_COLUMNS), _zeros(unconfirmed, LINE_COLUMNS)], how="vertical_relaxed")


def _panes(stored: Stored, state: JoinPartition, keys: pl.DataFrame) -> pl.DataFrame:
    where = {
        "tenants": _distinct(keys, "tenant"), "teams": _distinct(keys, "team"), "pane_seconds": _seconds(keys),
    }  # fmt: skip
    rows = stored.read("recovery/panes", **_at(state), **where).join(keys, on=PANE_KEY, how="semi")
    doubtful = keys if state.rebuilding else rows.filter(pl.col("trusted") == 0).select(PANE_KEY)
    trusted = rows.join(doubtful, on=PANE_KEY, how="anti").select(*PANE_COLUMNS)
    if doubtful.is_empty():
        return trusted
    again = computed(usage_of_panes(stored, state, doubtful), state.prices).panes.join(
        doubtful, on=PANE_KEY, how="semi"
    )
    unconfirmed = rows.join(doubtful, on=PANE_KEY, how="semi").join(again, on=PANE_KEY, how="anti")
    return pl.concat([trusted, again.select(*PANE_COLUMNS), _zeros(unconfirmed, PANE_COLUMNS)], how="vertical_relaxed")


def _zeros(rows: pl.DataFrame, columns: dict[str, Any]) -> pl.DataFrame:
    """Stored rows that no raw row confirms: all zero, which equals an absent one."""
    return rows.select(
        pl.col(name) if name in (*LINE_KEY, *PANE_KEY) else pl.lit(0, pl.Int64).alias(name) for name in columns
    )


def usage_of_panes(stored: Stored, state: JoinPartition, keys: pl.DataFrame) -> pl.DataFrame:
    """Usage of panes (PANE_KEY, maybe with more of the same times)."""
    starts = keys["pane_start"]
    first, last = int(starts.min() or 0), int(starts.max() or 0)  # type: ignore[arg-type]
    return stored.read(
        "recovery/usage_of_panes", kpart=state.partition, usage_ends=state.usage.ends, since=first, until=last + PANE_US,
        pane_seconds=_seconds(keys),
    )  # fmt: skip


def _items(stored: Stored, state: JoinPartition, keys: pl.DataFrame) -> list[LoadedItem]:
    where = {"tenants": _distinct(keys, "tenant"), "items": _distinct(keys, "work_item_id")}
    rows = stored.read("recovery/items", **_at(state), **where).join(keys, on=ITEM_KEY, how="semi")
    doubtful = keys if state.rebuilding else rows.filter(pl.col("trusted") == 0).select(ITEM_KEY)
    booked = {
        (row["tenant"], row["work_item_id"]): _booked(row["booked"])
        for row in rows.select(*ITEM_KEY, "booked").iter_rows(named=True)
    }
    loaded: list[LoadedItem] = [
        (row["tenant"], row["work_item_id"], _history(row["history"]), booked[row["tenant"], row["work_item_id"]], True)
        for row in rows.join(doubtful, on=ITEM_KEY, how="anti").iter_rows(named=True)
    ]
    if doubtful.is_empty():
        return loaded
    raw = _of_items(stored, "events_of_items", doubtful, kpart=state.partition, items_ends=state.items.ends)
    again: dict[tuple[str, str], list[ItemEvent]] = {}
    for tenant, item, event in item_events(raw):
        again.setdefault((tenant, item), []).append(event)
    # An item without events below the position needs no state (a later record will name it) unless it left bookings somewhere, or everything
    # is computed again: what no event confirms must be written as nothing then.
    loaded += [
        (*key, again.get(key, []), booked.get(key, set()), False)
        for key in doubtful.iter_rows()
        if key in again or booked.get(key) or (state.rebuilding and key in booked)
    ]
    return loaded


def _history(rows: list[Any]) -> list[ItemEvent]:
    values = (tuple(row.values()) if isinstance(row, dict) else row for row in rows)
    return [item_event(v) for v in values]


def _booked(rows: list[Any]) -> set[BookingKey]:
    values = (tuple(row.values()) if isinstance(row, dict) else row for row in rows)
    return {(v[0] // PANE_US * PANE_US, *v[1:]) for v in values}


def _of_items(stored: Stored, name: str, keys: pl.DataFrame, **where: Any) -> pl.DataFrame:
    """Raw rows of items; of two tenants there may be items of one name: each takes its own."""
    tenants, items = _distinct(keys, "tenant"), _distinct(keys, "work_item_id")
    return stored.read(f"recovery/{name}", **where, tenants=tenants, items=items).join(keys, on=ITEM_KEY, how="semi")


def _parts(keys: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Keys in parts that fit into the parameters of one query."""
    if keys.is_empty():
        return
    size = keys.select(pl.sum_horizontal(pl.all().cast(pl.String).str.len_bytes() + _QUOTES)).to_series()
    yield from keys.with_columns(part=size.cum_sum() // PARAMETER_BYTES).partition_by(
        "part", include_key=False, maintain_order=True
    )


def _distinct(keys: pl.DataFrame, column: str) -> list[str]:
    return keys[column].unique(maintain_order=True).to_list()


def _seconds(keys: pl.DataFrame) -> list[int]:
    return (keys["pane_start"].unique(maintain_order=True) // 1_000_000).to_list()
