"""What a partition has already applied: identities of both topics, prompts of a pane, actors of a pane.

Exact for records within the horizon. For older ones the caller asks the store first (`*_to_look_up`) and passes what it found to `remember_*`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from streams.join.batch import ACTOR_KEY, PROMPT_KEY, pane_start
from streams.join.seen import SeenIndex, identity_hashes
from streams.windows.measures import PANE_US

_ID = ["tenant", "event_id"]


class Dedup:
    """The dedup indexes of one partition."""

    def __init__(self) -> None:
        self._usage_ids, self._item_ids = SeenIndex(), SeenIndex()
        self._prompts, self._actors = SeenIndex(), SeenIndex()

    def __len__(self) -> int:
        return sum(len(index) for index in (self._usage_ids, self._item_ids, self._prompts, self._actors))

    def new_usage(self, batch: pl.DataFrame) -> pl.Series:
        """True for each row of usage whose identity is new, and from now on known."""
        return _add(self._usage_ids, batch, _ID, batch["occurred_at"])

    def new_items(self, batch: pl.DataFrame) -> pl.Series:
        """Likewise for work-item events."""
        return _add(self._item_ids, batch, _ID, batch["occurred_at"])

    def new_actors(self, frame: pl.DataFrame) -> pl.Series:
        """Likewise for actors of panes. One that is forgotten comes again: the stored ones are a set."""
        return _add(self._actors, frame, ACTOR_KEY, frame["pane_start"])

    def new_prompts(self, usage: pl.DataFrame) -> pl.Series:
        """1 for each row that is the first with its prompt within its pane (which has a column pane_start), else 0."""
        first = np.zeros(len(usage), np.int64)
        with_prompt = np.flatnonzero((usage["prompt_fingerprint"] != "").to_numpy())
        if len(with_prompt):
            rows = usage[with_prompt]
            first[with_prompt] = self._prompts.add(*identity_hashes(rows, PROMPT_KEY), _pane_ends(rows))
        return pl.Series(first)

    def usage_to_look_up(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Rows of a usage batch that are older than the horizon."""
        return batch.filter(pl.col("occurred_at") < self._usage_ids.forgotten_before)

    def items_to_look_up(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Likewise for a work-item batch."""
        return batch.filter(pl.col("occurred_at") < self._item_ids.forgotten_before)

    def remember_usage(self, stored: pl.DataFrame) -> None:
        """Add stored usage (tenant, event_id, occurred_at)."""
        self._usage_ids.remember(*identity_hashes(stored, _ID), stored["occurred_at"].to_numpy())

    def remember_items(self, stored: pl.DataFrame) -> None:
        """Add stored work-item events (tenant, event_id, occurred_at)."""
        self._item_ids.remember(*identity_hashes(stored, _ID), stored["occurred_at"].to_numpy())

    def remember_prompts(self, stored: pl.DataFrame) -> None:
        """Add the prompts of stored usage (the columns of PROMPT_KEY, occurred_at)."""
        found = stored.filter(pl.col("prompt_fingerprint") != "").with_columns(pane_start())
        self._prompts.remember(*identity_hashes(found, PROMPT_KEY), _pane_ends(found))

    def forget_before(self, usage_us: int, items_us: int) -> None:
        """Let go of what is older than these event times. The store holds all that came before the last cut but one."""
        for index in (self._usage_ids, self._prompts, self._actors):
            index.forget_before(usage_us)
        self._item_ids.forget_before(items_us)


def _add(index: SeenIndex, frame: pl.DataFrame, key: list[str], at: pl.Series) -> pl.Series:
    return pl.Series(index.add(*identity_hashes(frame, key), at.to_numpy()))


def _pane_ends(frame: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A prompt is remembered until its whole pane is older than the horizon."""
    ends: np.ndarray[Any, np.dtype[np.int64]] = frame["pane_start"].to_numpy() + PANE_US
    return ends
