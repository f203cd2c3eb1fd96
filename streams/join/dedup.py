"""What a partition has already applied: identities of both topics, prompts of a pane, actors of a pane.

Exact for records within the horizon. For older ones the caller asks the store first (`*_to_look_up`) and passes what it found to `remember_*`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.events.text_columns import TextColumns
from streams.events.texts import Hashes, Texts, hashes
from streams.join.seen import Mask, SeenIndex
from streams.join.usage import pane_ids, prompt_ids
from streams.windows.measures import PANE_US

Array = npt.NDArray[Any]


class Dedup:
    """The dedup indexes of one partition."""

    def __init__(self) -> None:
        self.usage, self.items = SeenIndex(), SeenIndex()
        self._prompts, self._actors = SeenIndex(), SeenIndex()

    def __len__(self) -> int:
        return sum(len(index) for index in (self.usage, self.items, self._prompts, self._actors))

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(index.nbytes for index in (self.usage, self.items, self._prompts, self._actors))

    def new_actors(self, ids: Hashes, panes: Array, asked: Mask) -> Mask:
        """True for each actor asked for that is new in its pane. One that is forgotten comes again: the stored ones are a set."""
        return self._actors.add(ids, panes * PANE_US, asked)

    def new_prompts(self, ids: Hashes, panes: Array, asked: Mask) -> Mask:
        """True for each prompt asked for that is the first of its kind in its pane; remembered until the whole pane is older than the horizon."""
        return self._prompts.add(ids, (panes + 1) * PANE_US, asked)

    def usage_to_look_up(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Rows of a usage batch that are older than the horizon."""
        return batch.filter(pl.col("occurred_at") < self.usage.forgotten_before)

    def items_to_look_up(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Likewise for a work-item batch."""
        return batch.filter(pl.col("occurred_at") < self.items.forgotten_before)

    def remember_usage(self, stored: pl.DataFrame) -> None:
        """Add stored usage (tenant, event_id, occurred_at)."""
        self.usage.remember(event_ids(stored), stored["occurred_at"].to_numpy())

    def remember_items(self, stored: pl.DataFrame) -> None:
        """Add stored work-item events (tenant, event_id, occurred_at)."""
        self.items.remember(event_ids(stored), stored["occurred_at"].to_numpy())

    def remember_prompts(self, stored: pl.DataFrame, series: Array) -> None:
        """Add the prompts of stored usage, of which each row has one; `series`: their keys."""
        panes = stored["occurred_at"].to_numpy() // PANE_US
        self._prompts.remember(prompt_ids(TextColumns(stored), pane_ids(panes, series)), (panes + 1) * PANE_US)

    def forget_before(self, usage_us: int, items_us: int) -> None:
        """Let go of what is older than these event times. The store holds all that came before the last cut but one."""
        for index in (self.usage, self._prompts, self._actors):
            index.forget_before(usage_us)
        self.items.forget_before(items_us)


def event_ids(frame: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """What identifies an event: tenant and event_id."""
    return hashes(Texts.of(frame["tenant"]), Texts.of(frame["event_id"]))
