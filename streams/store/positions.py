"""Who owns a partition and how far it has come: claims, incarnations, and the mirror of the position that the Kafka group commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from streams.config import INPUT_TOPICS
from streams.join.flush import EPOCH_SHIFT
from streams.join.input import OFFSET_MASK
from streams.store.reading import Stored
from streams.store.rows import TIME
from streams.store.sink import Sink

SIDE = dict(zip(INPUT_TOPICS, ("usage", "items"), strict=True))
"""What the columns of an input topic are called after."""

LIVES = -1
"""The end of an incarnation that is not closed."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """The position of a partition as its last flush wrote it (incarnation << 40 | offset), and its counts; the group may not have committed it."""

    incarnation: int
    usage_next: int
    items_next: int
    usage_begin: int
    items_begin: int
    usage_missing: int
    items_missing: int
    usage_applied: int
    items_applied: int
    usage_duplicates: int
    items_duplicates: int
    usage_dead: int
    items_dead: int
    usage_watermark: int
    items_watermark: int
    version: int

    def offset(self, topic: str) -> int:
        """The next offset of a topic, in the incarnation of the mirror."""
        return int(getattr(self, f"{SIDE[topic]}_next")) & OFFSET_MASK


@dataclass(frozen=True, slots=True)
class Incarnation:
    """A life of an input partition: the ids of its topics, where it was closed (LIVES: it is not), the epoch in which it began, and why."""

    kpart: int
    incarnation: int
    usage_topic_id: str
    items_topic_id: str
    usage_end: int
    items_end: int
    epoch: int
    reason: str

    @property
    def trusted_since(self) -> int:
        """Version from which on result rows are of this life; all of the first one are."""
        return self.epoch << EPOCH_SHIFT if self.incarnation else 0


class Claim(NamedTuple):
    """An epoch that was claimed, and the highest one before it (0: none)."""

    epoch: int
    before: int


def claim(stored: Stored, sink: Sink, partitions: Sequence[int], now_us: int) -> dict[int, Claim]:
    """Claim an epoch of each partition, above all before. A claim alone moves nothing: the group's next commit decides who owns the partition.

    It is the time in seconds, unless one as high was claimed: a store that was restored has forgotten epochs whose updates are still on
    pane-updates, and none of them may come again.
    """
    highest = dict(stored.read("recovery/claimed_epochs", kparts=list(partitions)).iter_rows())
    before = {p: int(highest.get(p, 0)) for p in partitions}
    claims = {p: Claim(max(before[p] + 1, now_us // 1_000_000), before[p]) for p in partitions}
    sink.rows(
        "claims",
        pl.DataFrame(
            [(p, claimed.epoch, sink.worker, now_us) for p, claimed in claims.items()],
            schema={"kpart": pl.UInt16, "epoch": pl.UInt64, "worker": pl.String, "claimed_at": pl.Int64},
            orient="row",
        ).with_columns(pl.col("claimed_at").cast(TIME)),
    )
    return claims


def mirrors(stored: Stored, partitions: Sequence[int]) -> dict[int, Mirror]:
    """The mirrored position of each partition that has one."""
    rows = stored.read("recovery/mirror", kparts=list(partitions)).to_dicts()
    return {row["kpart"]: Mirror(**{name: row[name] for name in Mirror.__slots__}) for row in rows}


def incarnations(stored: Stored, partitions: Sequence[int]) -> dict[int, list[Incarnation]]:
    """The lives of each partition, oldest first; a partition that nobody ever owned has none."""
    found: dict[int, list[Incarnation]] = {p: [] for p in partitions}
    for row in stored.read("recovery/incarnations", kparts=list(partitions)).to_dicts():
        found[row["kpart"]].append(Incarnation(**{name: row[name] for name in Incarnation.__slots__}))
    return found


def write_incarnations(sink: Sink, lives: Sequence[Incarnation], epoch: int, now_us: int) -> None:
    """Write lives that began or were closed in an epoch. The same again changes nothing."""
    rows = pl.DataFrame(
        [tuple(getattr(life, name) for name in Incarnation.__slots__) for life in lives],
        schema={
            "kpart": pl.UInt16, "incarnation": pl.UInt32, "usage_topic_id": pl.String, "items_topic_id": pl.String,
            "usage_end": pl.Int64, "items_end": pl.Int64, "epoch": pl.UInt64, "reason": pl.String,
        },
        orient="row",
    )  # fmt: skip
    opened_at = pl.lit(now_us).cast(TIME)
    sink.rows("incarnations", rows.with_columns(opened_at=opened_at, version=pl.lit(epoch, pl.UInt64)))
