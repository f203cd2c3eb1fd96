"""Series: the distinct (tenant, team, tool, model) of usage as small numbers, each with its names and its prices."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.compiled import given
from streams.events.text_columns import TextColumns, together
from streams.events.texts import Texts, hashes
from streams.join.table import KeyTable
from streams.value.prices import PriceBook

Array = npt.NDArray[Any]
Codes = npt.NDArray[np.int32]

SERIES_KEY: Final = ["tenant", "team", "tool", "model"]
_NAMES: Final = dict.fromkeys(SERIES_KEY, pl.String)


class Series:
    """Numbers of series, in the order in which they were first seen."""

    def __init__(self, prices: PriceBook) -> None:
        self._table = KeyTable()
        self._names = pl.DataFrame(schema=_NAMES)
        self._models = dict[str, int]()
        self.models = given(np.zeros(0, np.int32))
        """The number of each series' model."""
        self.price(prices)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def keys(self) -> Array:
        """What identifies each series, the same under any number: [series, 2] uint64."""
        return self._table.table.keys[: len(self)]

    def price(self, prices: PriceBook) -> None:
        """Use these prices from now on. `changes` [periods]: from which event time (us) on; `prices` [periods, models, 6]: the five of the
        buckets, in micro-USD per million tokens, and 1 where the book has the model."""
        self._book = prices
        self.changes = given(np.array(prices.changes, np.int64))
        self.prices = given(prices.table(list(self._models)))

    def of(self, rows: pl.DataFrame | TextColumns) -> Codes:
        """The number of each row's series (SERIES_KEY)."""
        columns = TextColumns(rows) if isinstance(rows, pl.DataFrame) else rows
        texts = [columns.texts(name) for name in SERIES_KEY]
        if (met := together([columns.codes(name) for name in SERIES_KEY])) is None:
            return self._of(hashes(*texts), columns.frame)
        firsts = [Texts(given(column.views[met.firsts]), column.data) for column in texts]
        return self._of(hashes(*firsts), columns.frame, met.firsts)[met.numbers]

    def _of(self, keys: Array, frame: pl.DataFrame, rows: Array | None = None) -> Codes:
        """The numbers of keys, those of the given rows of a frame or of all."""
        codes = self._table.find(keys)
        if (codes < 0).any():
            codes, new = self._table.place(keys)
            begun = frame.select(SERIES_KEY)[np.flatnonzero(new) if rows is None else rows[new]]
            self._names = pl.concat([self._names, begun.with_columns(pl.all() + "")], rechunk=True)
            self._add_models(begun["model"].to_list())
        return codes

    def _add_models(self, models: list[str]) -> None:
        """Of series that begin."""
        before = len(self._models)
        numbers = [self._models.setdefault(model, len(self._models)) for model in models]
        self.models = given(np.concatenate([self.models, np.array(numbers, np.int32)]))
        if new := list(self._models)[before:]:
            self.prices = given(np.concatenate([self.prices, self._book.table(new)], axis=1))

    def keys_of(self, frame: pl.DataFrame) -> Array:
        """The keys of each row's series."""
        codes = self.of(frame)
        return self.keys[codes]

    def names(self, codes: Codes) -> pl.DataFrame:
        """SERIES_KEY of numbers."""
        return self._names[codes]

    def forget_all_but(self, used: tuple[KeyTable, ...]) -> None:
        """Number anew those that are the second half of a key in one of the tables, and change these keys."""
        held = np.zeros(len(self), np.bool_)
        for other in used:
            held[other.table.keys[other.rows(), 1]] = True
        kept = np.flatnonzero(held).astype(np.int32)
        number = np.zeros(len(self), np.uint64)
        number[kept] = np.arange(len(kept))
        for other in used:
            rows = other.rows()
            other.rename(rows, np.stack([other.table.keys[rows, 0], number[other.table.keys[rows, 1]]], axis=1))
        keys, self._table = self.keys[kept], KeyTable()
        self._table.place(keys)
        self._names = self._names[kept]
        self._models, self.models, self.prices = {}, self.models[:0], self.prices[:, :0]
        self._add_models(self._names["model"].to_list())
