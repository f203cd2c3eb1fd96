"""A batch of usage as the join reads it: what identifies each event, its item, its series, and what it says in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.compiled import Number, compiled, given
from streams.events.text_columns import TextColumns
from streams.events.texts import Hashes, Texts, hashes, mixed, take, take_text, words, xxhash64
from streams.join.ledger import Facts
from streams.join.series import Series
from streams.windows.measures import PANE_US, TOKEN_BUCKETS

Array = npt.NDArray[Any]

ENABLING: Final = ("review", "operate", "explore")
_QUALITIES: Final = words("full", "partial", "unknown")
_OK, _BILLED, _ENABLING = words("ok"), words("billed"), words(*ENABLING)


@dataclass(frozen=True, slots=True)
class Usage:
    """Decoded usage. `ids`: of the event; `item_keys`: of its item, if `has_item`; `pane_ids`: of its pane, whose number is in `panes`."""

    columns: TextColumns
    facts: Facts
    ids: Hashes
    item_keys: Hashes
    has_item: Array
    panes: Array
    pane_ids: Hashes

    @classmethod
    def of(cls, columns: TextColumns, series: Series) -> Usage:
        """Of the columns of usage events, all but the cost without nulls."""
        frame, texts = columns.frame, columns.texts
        cost = frame["cost_micro_usd"]
        facts = Facts(
            at=numbers(frame["occurred_at"]),
            series=given(series.of(columns)),
            requests=numbers(frame["requests"]),
            tokens=tuple(numbers(frame[name]) for name in (*TOKEN_BUCKETS, "reasoning_tokens")),
            reported=numbers(cost.fill_null(0)),
            has_cost=given(cost.is_not_null().cast(pl.UInt8).to_numpy()),
            quality=columns.which("usage_quality", _QUALITIES),
            billed=_is(columns.which("cost_basis", _BILLED), _BILLED),
            ok=_is(columns.which("status", _OK), _OK),
            enabling=_is(columns.which("activity", _ENABLING), _ENABLING),
            has_prompt=_any(texts("prompt_fingerprint")),
        )
        panes, items = facts.at // PANE_US, texts("work_item_id")
        return cls(
            columns, facts,
            hashes(texts("tenant"), texts("event_id")), hashes(texts("tenant"), items), _any(items),
            panes, pane_ids(panes, series.keys[facts.series]),
        )  # fmt: skip


def pane_ids(panes: Array, series: Array) -> Hashes:
    """What identifies panes, by their numbers and the keys of their series."""
    return hashes(panes, series[:, 0], series[:, 1])


def prompt_ids(columns: TextColumns, panes: Hashes) -> Hashes:
    """What identifies the prompt of each event: its pane, canonical key (DESIGN.md §4), actor and the prompt's fingerprint."""
    item, session, *rest = map(columns.texts, ("work_item_id", "session_id", "actor", "prompt_fingerprint"))
    ids = panes.copy()
    if not _mix_keys(item.views, item.data, session.views, session.data, _SESSION, ids):
        return mixed(panes, Texts.of(columns.frame.select(KEY).to_series()), *rest)
    return mixed(ids, *rest)


KEY: Final = (
    pl.when(pl.col("work_item_id") != "")
    .then(pl.col("work_item_id"))
    .when(pl.col("session_id") != "")
    .then("session:" + pl.col("session_id"))
    .otherwise("event:" + pl.col("event_id"))
)
"""The canonical key behind the tenant."""
_SESSION: Final = np.frombuffer(b"session:", np.uint64)[0]


@compiled
def _mix_keys(items: Array, item_data: Array, sessions: Array, session_data: Array, prefix: Number, ids: Array) -> bool:
    """Mix KEY into the hashes, as if it were a column of texts; False: an event has neither item nor session, and it cannot be done in place."""
    for i in range(len(ids)):
        high, low = ids[i, 0], ids[i, 1]
        if items[i, 0]:
            high, low = take(high, low, np.uint64(items[i, 0]))
            ids[i, 0], ids[i, 1] = take_text(high, low, items, item_data, i)
        elif sessions[i, 0]:
            high, low = take(high, low, np.uint64(sessions[i, 0]) + np.uint64(8))
            ids[i, 0], ids[i, 1] = take_text(*take(high, low, prefix), sessions, session_data, i)
        else:
            return False
    return True


def actor_ids(panes: Hashes, actors: Hashes) -> Hashes:
    """What identifies an actor (a hash) of a pane."""
    return mixed(panes, actors)


def item_hashes(tenants: pl.Series, items: pl.Series) -> Hashes:
    """xxHash64 of tenant/work_item_id: ClickHouse makes the same one of the items that it holds."""
    return xxhash64(Texts.of(tenants + "/" + items))


def numbers(column: pl.Series) -> Array:
    """An Int64 column without nulls."""
    return given(column.to_numpy())


def _is(found: Array, among: Array) -> Array:
    return given((found < len(among)).view(np.uint8))


def _any(column: Texts) -> Array:
    return given((column.views[:, 0] > 0).view(np.uint8))
