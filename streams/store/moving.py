"""Stored events as they are taken to another installation: hour by hour, those that its results were computed from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from streams.events.decode import EVENT_OF_TOPIC
from streams.events.schemas import EventName
from streams.store.positions import SIDE, incarnations, mirrors
from streams.store.reading import Stored

CARRIED: Final = ("value_rules", "price_book", "tenant_settings", "alert_silences")
"""Tables that hold what people have set. All others are computed from events, or are about one life of the topics."""

_TABLES: Final[dict[EventName, str]] = {"usage_event": "usage_events", "work_item_event": "work_item_events"}
_ABSENT: Final[dict[EventName, tuple[str, ...]]] = {
    "usage_event": ("work_item_id", "session_id", "prompt_fingerprint"),
    "work_item_event": ("actor", "parent_id", "link_type", "link_value", "resolution"),
}


def hours_with_events(stored: Stored) -> list[tuple[int, int]]:
    """(hour in seconds since 1970, rows of both kinds), oldest first."""
    return list(stored.read("moving/hours").iter_rows())


def events_by_hour(stored: Stored, partitions: int) -> Iterator[tuple[EventName, pl.DataFrame]]:
    """All events that count, by hour and kind, oldest first: the columns of the event's schema, null for what is absent.

    A row counts if it lies below the end of its incarnation, as for every result; a worker that had lost its partition may have left others.
    """
    ends = {event: _ends(stored, partitions, topic) for topic, event in EVENT_OF_TOPIC.items()}
    for hour, _ in hours_with_events(stored):
        for event in EVENT_OF_TOPIC.values():
            rows = stored.read(f"moving/{_TABLES[event]}", hour=hour).join(
                ends[event], on=["kpart", "incarnation"], how="inner", maintain_order="left"
            )
            rows = rows.filter(pl.col("koff") < pl.col("end")).with_columns(
                pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in _ABSENT[event]
            )
            if len(rows):
                yield event, rows


def _ends(stored: Stored, partitions: int, topic: str) -> pl.DataFrame:
    """Where each incarnation of each partition ends: kpart, incarnation, end (offset)."""
    found = mirrors(stored, range(partitions))
    rows: list[tuple[Any, ...]] = []
    for p, lives in incarnations(stored, range(partitions)).items():
        for life in lives:
            mirror = found.get(p)
            if mirror is not None and life.incarnation == mirror.incarnation:
                end = mirror.offset(topic)
            else:
                end = max(getattr(life, f"{SIDE[topic]}_end"), 0)
            rows.append((p, life.incarnation, end))
    return pl.DataFrame(rows, schema={"kpart": pl.UInt16, "incarnation": pl.UInt32, "end": pl.Int64}, orient="row")
