"""Batches that wait to be applied together: to apply a batch costs as much as a few thousand of its records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from faust.types import TP

from streams.agents.batches import Batch

ENOUGH_RECORDS = 10_000
"""Of one partition and topic: they are applied without waiting for the flush."""


class Waiting:
    """Batches of the input topics that were fetched and not applied."""

    def __init__(self) -> None:
        self._batches: defaultdict[TP, list[Batch]] = defaultdict(list)
        self.records = 0
        """Offsets covered, of all batches."""

    def add(self, batch: Batch) -> bool:
        """Let a batch wait; True when those of its partition are enough to be applied at once."""
        batches = self._batches[batch.tp]
        batches.append(batch)
        self.records += batch.end - batch.begin
        return sum(one.end - one.begin for one in batches) >= ENOUGH_RECORDS

    def inputs(self) -> list[TP]:
        """Partitions with waiting batches, in the order of their first."""
        return list(self._batches)

    def take(self, tp: TP, epoch: int) -> Iterator[Batch]:
        """The waiting batches of a partition that were fetched under an epoch; those that follow on each other as one. No longer wait."""
        batches = self._batches.pop(tp, [])
        self.records -= sum(one.end - one.begin for one in batches)
        run: list[Batch] = []
        for batch in batches:
            if batch.epoch != epoch:
                continue
            if run and run[-1].end != batch.begin:
                yield Batch.joined(run)
                run = []
            run.append(batch)
        if run:
            yield Batch.joined(run)

    def clear(self) -> None:
        """Forget all of them: they will be read again."""
        self._batches.clear()
        self.records = 0
