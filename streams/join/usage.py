"""A batch of usage as the join reads it: what identifies each event, its item, its series, and what it says in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.compiled import given
from streams.events.texts import Hashes, Texts, hashes, which, words, xxhash64
from streams.join.ledger import Facts
from streams.join.series import Series
from streams.windows.measures import PANE_US, TOKEN_BUCKETS

Array = npt.NDArray[Any]

ENABLING: Final = ("review", "operate", "explore")
_QUALITIES: Final = words("full", "partial", "unknown")
_OK, _BILLED, _ENABLING = words("ok"), words("billed"), words(*ENABLING)


@dataclass(frozen=True, slots=True)
class Usage:
    """Decoded usage. `ids`: of the event; `item_keys`: of its item, if `has_item`."""

    frame: pl.DataFrame
    facts: Facts
    ids: Hashes
    item_keys: Hashes
    tenants: Texts
    items: Texts
    has_item: Array

    @classmethod
    def of(cls, frame: pl.DataFrame, series: Series) -> Usage:
        """Of the columns of usage events, all but the cost without nulls."""
        tenants, items = Texts.of(frame["tenant"]), Texts.of(frame["work_item_id"])
        cost = frame["cost_micro_usd"]
        facts = Facts(
            at=numbers(frame["occurred_at"]),
            series=given(series.of(frame)),
            requests=numbers(frame["requests"]),
            tokens=tuple(numbers(frame[name]) for name in (*TOKEN_BUCKETS, "reasoning_tokens")),
            reported=numbers(cost.fill_null(0)),
            has_cost=given(cost.is_not_null().cast(pl.UInt8).to_numpy()),
            quality=which(Texts.of(frame["usage_quality"]), _QUALITIES),
            billed=_is(frame["cost_basis"], _BILLED),
            ok=_is(frame["status"], _OK),
            enabling=_is(frame["activity"], _ENABLING),
            has_prompt=_any(Texts.of(frame["prompt_fingerprint"])),
        )
        return cls(
            frame, facts,
            hashes(tenants, Texts.of(frame["event_id"])), hashes(tenants, items), tenants, items, _any(items),
        )  # fmt: skip

    @property
    def panes(self) -> Array:
        """The number of each event's pane."""
        return self.facts.at // PANE_US


def prompt_ids(frame: pl.DataFrame, panes: Array, series: Array) -> Hashes:
    """What identifies the prompt of each event: pane, series, canonical key (DESIGN.md §4), actor and the prompt's fingerprint."""
    item, session = pl.col("work_item_id"), pl.col("session_id")
    key = frame.select(
        pl.when(item != "").then(item)
        .when(session != "").then("session:" + session)
        .otherwise("event:" + pl.col("event_id"))
    ).to_series()  # fmt: skip
    texts = (Texts.of(key), Texts.of(frame["actor"]), Texts.of(frame["prompt_fingerprint"]))
    return hashes(panes, series[:, 0], series[:, 1], *texts)


def actor_ids(panes: Array, series: Array, actors: Hashes) -> Hashes:
    """What identifies an actor (a hash) of a pane."""
    return hashes(panes, series[:, 0], series[:, 1], actors.view(np.int64))


def item_hashes(tenants: pl.Series, items: pl.Series) -> Hashes:
    """xxHash64 of tenant/work_item_id: ClickHouse makes the same one of the items that it holds."""
    return xxhash64(Texts.of(tenants + "/" + items))


def numbers(column: pl.Series) -> Array:
    """An Int64 column without nulls."""
    return given(column.to_numpy())


def _is(column: pl.Series, among: Array) -> Array:
    return given((which(Texts.of(column), among) < len(among)).view(np.uint8))


def _any(column: Texts) -> Array:
    return given((column.views[:, 0] > 0).view(np.uint8))
