"""Numbers of distinct texts and rows: as a dictionary gives them, for short and long texts, however many."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events.text_columns import Codes, TextColumns, together
from streams.events.texts import words

MOST = 2048

TEXTS = st.sampled_from(
    ["", "a", "twelve bytes", "thirteen byte", "thirteen bytE", "eight by", "ärger", "x" * 40, "x" * 39 + "y"]
)


def numbers_of(values: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """The number of each value, in the order of their first appearances, and the places of these."""
    firsts: dict[Hashable, int] = {}
    for place, value in enumerate(values):
        firsts.setdefault(value, place)
    order = {value: number for number, value in enumerate(firsts)}
    return [order[value] for value in values], list(firsts.values())


def lists(codes: Codes | None) -> tuple[list[int], list[int]]:
    assert codes is not None
    return codes.numbers.tolist(), codes.firsts.tolist()


@settings(max_examples=200)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), max_size=30), begin=st.integers(0, 3))
def test_texts_and_rows_are_numbered_as_they_appear(rows: list[tuple[str, ...]], begin: int) -> None:
    frame = pl.DataFrame(rows, schema=dict.fromkeys("abcd", pl.String), orient="row")[begin:]
    columns, rows = TextColumns(frame), rows[begin:]
    for name, values in zip("abcd", zip(*rows, strict=True), strict=False):
        assert lists(columns.codes(name)) == numbers_of(values)
    for names in ("ab", "abcd", "abcda") if rows else ():
        assert lists(together([columns.codes(name) for name in names])) == numbers_of(
            [row[: len(names)] for row in rows]
        )


@pytest.mark.parametrize("many", [MOST, MOST + 1])
@pytest.mark.parametrize("form", ["{}", "a text with the number {}"])
def test_a_column_of_too_many_texts_has_no_numbers(many: int, form: str) -> None:
    values = [form.format(k % many) for k in range(3 * MOST)]
    columns = TextColumns(pl.DataFrame({"a": values, "b": "b"}))
    found = together([columns.codes(name) for name in "abab"])
    if many > MOST:
        assert columns.codes("a") is None
        assert found is None
    else:
        assert lists(columns.codes("a")) == lists(found) == numbers_of(values)


def test_rows_of_too_many_kinds_have_no_numbers() -> None:
    rows = [(str(k % 50), str(k // 50)) for k in range(MOST + 1)]
    columns = TextColumns(pl.DataFrame(rows, schema=["a", "b"], orient="row"))
    assert together([columns.codes(name) for name in "abab"]) is None
    assert columns.codes("a") is not None


def test_words_are_found_with_numbers_and_without() -> None:
    known = words("ok", "failed")
    few, many = ["ok", "failed", "?", "ok"], [*map(str, range(MOST + 1)), "failed"]
    assert TextColumns(pl.DataFrame({"a": few})).which("a", known).tolist() == [0, 1, 2, 0]
    assert np.flatnonzero(TextColumns(pl.DataFrame({"a": many})).which("a", known) == 1).tolist() == [MOST + 1]
