"""Who owns a partition and how far it has come: claims, and the mirror of the position that the Kafka group commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from streams.store.reading import Stored
from streams.store.rows import TIME
from streams.store.sink import Sink


@dataclass(frozen=True, slots=True)
class Mirror:
    """The position of a partition as its last flush wrote it; the group may not have committed it."""

    usage_next: int
    items_next: int
    usage_begin: int
    items_begin: int
    usage_missing: int
    items_missing: int
    version: int


def claim(stored: Stored, sink: Sink, partitions: Sequence[int], now_us: int) -> dict[int, int]:
    """Claim the next epoch of each partition. A claim alone moves nothing: the group's next commit decides who owns the partition."""
    highest = dict(stored.read("recovery/claimed_epochs", kparts=list(partitions)).iter_rows())
    epochs = {p: int(highest.get(p, 0)) + 1 for p in partitions}
    sink.rows(
        "claims",
        pl.DataFrame(
            [(p, epoch, sink.worker, now_us) for p, epoch in epochs.items()],
            schema={"kpart": pl.UInt16, "epoch": pl.UInt64, "worker": pl.String, "claimed_at": pl.Int64},
            orient="row",
        ).with_columns(pl.col("claimed_at").cast(TIME)),
    )
    return epochs


def mirrors(stored: Stored, partitions: Sequence[int]) -> dict[int, Mirror]:
    """The mirrored position of each partition that has one."""
    rows = stored.read("recovery/mirror", kparts=list(partitions)).to_dicts()
    return {row["kpart"]: Mirror(**{name: row[name] for name in Mirror.__slots__}) for row in rows}
