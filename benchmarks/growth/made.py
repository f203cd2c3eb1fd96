"""Usage events with as many items, teams and repeats as wanted: rows of the benchmark's traffic, with names and times drawn anew."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.traffic import make
from streams.events.partition_column import partitions_of
from streams.events.records import Records
from streams.publish.columns import encode

BEGIN_US: Final = 1_794_240_000_000_000
"""In November 2026, a UTC midnight."""
PER_DAY: Final = 1_000_000
"""Events of a day, unless a curve says otherwise."""
PEOPLE: Final = 10
"""Of a team."""
_TEMPLATES: Final = 50_000

Numbers = npt.NDArray[np.int64]


class Maker:
    """Makes events, each with an id of its own. The same calls make the same events."""

    def __init__(self, *, items: int = 20_000, teams: int = 100) -> None:
        """Events name one of so many items, which belong to one of so many teams each; some name none, as in the traffic."""
        self._rows = make(_TEMPLATES).usage
        self._rng = np.random.default_rng(1)
        self._items, self._teams, self._made = items, teams, 0

    def events(self, at: Numbers, items: Numbers | None = None) -> pl.DataFrame:
        """Events at times (us), columns as in the schema. `items`: numbers of their items; None: drawn, and absent for some."""
        count, rng = len(at), self._rng
        rows = self._rows[rng.integers(len(self._rows), size=count)]
        ids = pl.Series(np.arange(self._made, self._made + count)).cast(pl.String).str.zfill(16)
        self._made += count
        chosen = rng.integers(self._items, size=count) if items is None else items
        team, people = pl.Series(chosen % self._teams).cast(pl.String), pl.Series(rng.integers(PEOPLE, size=count))
        named = "ITEM-" + pl.Series(chosen).cast(pl.String)
        if items is None:
            named = pl.select(pl.when(rows["work_item_id"].is_not_null()).then(named)).to_series()
        return rows.with_columns(
            pl.Series("event_id", ids), pl.Series("occurred_at", at), pl.Series("team", "team-" + team),
            pl.Series("actor", "person-" + team + "-" + people.cast(pl.String)), pl.Series("work_item_id", named),
        )  # fmt: skip

    def stretch(self, count: int, begin_us: int, end_us: int) -> pl.DataFrame:
        """Events at times drawn from a stretch, in order."""
        return self.events(np.sort(self._rng.integers(begin_us, end_us, size=count)))

    def with_repeats(self, frame: pl.DataFrame, share: float) -> pl.DataFrame:
        """As many rows, of which a share repeats an earlier one."""
        fresh = round(len(frame) * (1 - share))
        order = np.concatenate((np.arange(fresh), self._rng.integers(max(fresh, 1), size=len(frame) - fresh)))
        order = order[np.argsort(np.concatenate((np.arange(fresh), order[fresh:] + len(frame) // 50)), kind="stable")]
        return frame[order]

    def with_late(self, frame: pl.DataFrame, share: float, least_us: int, most_us: int) -> pl.DataFrame:
        """A share of the events happened earlier, by a time between the two whose logarithm is even."""
        late = self._rng.random(len(frame)) < share
        by = np.exp(self._rng.uniform(np.log(least_us), np.log(most_us), len(frame))).astype(np.int64)
        return frame.with_columns(occurred_at=frame["occurred_at"] - np.where(late, by, 0))


def fetches(frame: pl.DataFrame, size: int, partitions: int = 1) -> list[tuple[int, Records]]:
    """(partition, values) of fetches of so many records, one partition after the other within each `size` records of the topic."""
    keys = frame.select(
        pl.when(pl.col("work_item_id").is_not_null())
        .then(pl.format("{}/{}", "tenant", "work_item_id"))
        .otherwise(pl.format("{}/session:{}", "tenant", "session_id"))
    ).to_series()
    of = partitions_of(keys, partitions)
    found = []
    for begin in range(0, len(frame), size):
        part = of[begin : begin + size]
        found += [
            (number, Records.of(encode(frame[begin : begin + size].filter(part == number), "usage_event")))
            for number in np.unique(part).tolist()
        ]
    return found


def decoded(frame: pl.DataFrame) -> pl.DataFrame:
    """As the decoder makes it, without the key: for filling a state."""
    absent: dict[str, Any] = {"work_item_id": "", "session_id": "", "prompt_fingerprint": "", "actor": ""}
    return frame.with_columns(pl.col(name).fill_null(value) for name, value in absent.items())
