"""Series keep their names, keys and prices, whatever number they have."""

from __future__ import annotations

import numpy as np
import polars as pl

from streams.join.series import SERIES_KEY, Series
from streams.join.table import KeyTable
from streams.value.prices import PriceBook

PRICES = PriceBook.shipped()
MODELS = ["claude-sonnet-4-5", "gpt-5", "a model that no book has"]


def frame(teams: range, models: list[str]) -> pl.DataFrame:
    rows = [("acme", f"team {team}", "tool", model) for team in teams for model in models]
    return pl.DataFrame(rows, schema=SERIES_KEY, orient="row")


def check(series: Series, rows: pl.DataFrame) -> None:
    """Names and prices of the rows' series are those of the rows."""
    codes = series.of(rows)
    assert series.names(codes).equals(rows)
    assert len(np.unique(codes)) == len(rows.unique())
    assert (series.prices[:, series.models[codes]] == PRICES.table(rows["model"].to_list())).all()


def test_series_that_begin_and_are_forgotten_keep_the_prices_of_their_models() -> None:
    series = Series(PRICES)
    check(series, frame(range(3), MODELS[:1]))
    check(series, frame(range(5), MODELS))
    check(series, frame(range(3000), MODELS[1:]))  # more than have numbers as texts
    assert series.prices.shape[1] == len(MODELS)
    kept = frame(range(2, 4), MODELS[1:])
    keys = series.keys_of(kept)
    used = KeyTable()
    used.place(np.stack([np.arange(len(kept)), series.of(kept)], axis=1).astype(np.uint64))
    series.forget_all_but((used,))
    assert len(series) == len(kept)
    assert (series.keys_of(kept) == keys).all()
    assert sorted(used.table.keys[used.rows(), 1].tolist()) == sorted(series.of(kept).tolist())
    check(series, kept)
    check(series, frame(range(4), MODELS))
    series.forget_all_but((KeyTable(),))
    assert len(series) == 0
    check(series, frame(range(2), MODELS))
    series.price(PRICES)
    check(series, frame(range(3), MODELS))
