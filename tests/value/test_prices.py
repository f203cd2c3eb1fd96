"""The price book: which line is in force, and that the vectorised cost equals exact integers one event at a time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import ConfigError
from streams.value.documents import FIRST_EVENT_US, NOTICE_US
from streams.value.prices import BUCKETS, MAX_PRICE, PriceBook, PriceLine, check_effective, price_lines

SHIPPED = PriceBook.shipped()
T = FIRST_EVENT_US
BASE = [PriceLine(T, "*", prices=(3_000_000, 0, 0, 0, 0)), PriceLine(T, "", prices=(1, 2, 3, 4, 5))]
BOOK = PriceBook(
    [
        *BASE,
        PriceLine(T + 50, "", prices=(6, 7, 8, 9, 10)),
        PriceLine(T + 10, "a", prices=(11, 12, 13, 14, 15)),
        PriceLine(T + 20, "a", prices=(21, 22, 23, 24, 25)),
        PriceLine(T, "b", alias_of="a"),
        PriceLine(T + 30, "b", prices=(31, 32, 33, 34, 35)),
        PriceLine(T, "max", prices=(MAX_PRICE,) * 5),
    ]
)


@pytest.mark.parametrize(
    ("model", "t", "first", "priced"),
    [
        ("a", 9, 1, False),  # not yet in force: the default line
        ("a", 10, 11, True),
        ("a", 19, 11, True),
        ("a", 20, 21, True),
        ("b", 9, 1, False),  # the alias is in force, its model is not
        ("b", 15, 11, True),
        ("b", 29, 21, True),
        ("b", 30, 31, True),
        ("A", 30, 1, False),  # names are exact
        ("", 30, 1, False),
        ("*", 30, 1, False),
        ("x", 50, 6, False),
        ("x", -5, 1, False),
    ],
)
def test_the_line_in_force(model: str, t: int, first: int, priced: bool) -> None:
    got = BOOK.price(model, T + t)
    assert (got.prices[0], got.priced) == (first, priced)


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {
        "model": pl.String,
        "occurred_at": pl.Int64,
        **dict.fromkeys(BUCKETS, pl.Int64),
        "usage_quality": pl.String,
    }
    return pl.DataFrame(rows, schema=schema)


events = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["a", "b", "max", "x", "", "*"]),
        "occurred_at": st.integers(T - 5, T + 60),
        **dict.fromkeys(BUCKETS, st.integers(0, 10**9) | st.sampled_from([0, 1, 500_000, 10**9])),
        "usage_quality": st.sampled_from(["full", "partial", "unknown"]),
    }
)


@given(st.lists(events, max_size=30))
def test_standard_cost_is_exact(rows: list[dict[str, Any]]) -> None:
    cost, priced = BOOK.standard_cost(frame(rows))
    assert cost.dtype == pl.Int64
    assert priced.dtype == pl.Boolean
    for row, got, known in zip(rows, cost, priced, strict=True):
        price = BOOK.price(row["model"], row["occurred_at"])
        exact = Fraction(sum(row[bucket] * each for bucket, each in zip(BUCKETS, price.prices, strict=True)), 1_000_000)
        assert got == (0 if row["usage_quality"] == "unknown" else (exact + Fraction(1, 2)).__floor__())
        assert known == price.priced


def test_the_largest_event_does_not_overflow() -> None:
    row = {"model": "max", "occurred_at": T, **dict.fromkeys(BUCKETS, 10**9), "usage_quality": "full"}
    assert BOOK.standard_cost(frame([row]))[0].to_list() == [5 * 10**12]


def test_half_a_micro_usd_rounds_up() -> None:
    book = PriceBook([*BASE, PriceLine(T, "m", prices=(1, 0, 0, 0, 0))])
    rows = [
        {"model": "m", "occurred_at": T, "input_tokens": n, "usage_quality": "full"}
        for n in (499_999, 500_000, 1_499_999, 1_500_000)
    ]
    got = book.standard_cost(frame(rows).with_columns(pl.col(BUCKETS).fill_null(0)))[0]
    assert got.to_list() == [0, 1, 1, 2]


def test_the_shipped_book_knows_the_models_of_the_field() -> None:
    t = 1_780_000_000_000_000
    for model in (
        "claude-opus-4-7",
        "claude-haiku-4-5-20251001",
        "claude-4-sonnet",
        "gpt-5",
        "gemini-2.5-pro",
        "glm-4.6",
        "GLM-5.1",
        "MiniMax-M2",
    ):
        assert SHIPPED.price(model, t).priced, model
    assert not SHIPPED.price("(multi/undisclosed)", t).priced
    assert SHIPPED.price("claude-sonnet-4-5-20250929", t).prices == (
        3_000_000,
        300_000,
        3_750_000,
        6_000_000,
        15_000_000,
    )
    assert (
        SHIPPED.price("o3", 1_749_513_600_000_000 - 1).prices[0]
        == 5 * SHIPPED.price("o3", 1_749_513_600_000_000).prices[0]
    )
    assert (SHIPPED.reference_price, SHIPPED.assisted_cost_micro_usd) == (3_000_000, 30_000)


def test_rows_hold_the_whole_book() -> None:
    assert PriceBook.from_rows(SHIPPED.rows_for_tables()).lines == SHIPPED.lines
    assert PriceBook([*SHIPPED.lines, *SHIPPED.lines]).lines == SHIPPED.lines


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "no default line"),
        ([BASE[0]], "no default line"),
        ([BASE[1]], "no reference price"),
        ([*BASE, PriceLine(T + 1, "*", prices=(4, 0, 0, 0, 0))], "reference price changes"),
        (
            [*BASE, PriceLine(T, "m", prices=(MAX_PRICE + 1, 0, 0, 0, 0))],
            "price of 'm' from 2015-01-01T00:00:00Z is out of range",
        ),
        ([*BASE, PriceLine(T, "m", prices=(-1, 0, 0, 0, 0))], "out of range"),
        ([*BASE, PriceLine(T, "m", alias_of="n")], "'n' has no prices of its own"),
        ([*BASE, PriceLine(T, "m", alias_of="m")], "alias of 'm'"),
        (
            [*BASE, PriceLine(T, "m"), PriceLine(T, "n", alias_of="m"), PriceLine(T, "o", alias_of="n")],
            "'n' has no prices of its own",
        ),
        ([*BASE, PriceLine(T, "m"), PriceLine(T, "m", prices=(1, 1, 1, 1, 1))], "two different prices of 'm'"),
        ([BASE[0], PriceLine(T + 1, "", prices=(1, 1, 1, 1, 1))], "no default line in force"),
    ],
)
def test_a_contradictory_book_is_refused(lines: list[PriceLine], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        PriceBook(lines, "prices.toml")
    assert refused.value.remedy


HEAD = "effective_from = 2026-01-01T00:00:00Z\n"
MODEL = '[[model]]\nname = "m"\ninput = "0.000001"\noutput = 2.5\n'


def test_a_document_gives_exact_lines() -> None:
    text = HEAD + MODEL + 'aliases = ["n"]\ncache_write_5m = 3\n' + MODEL + "effective_from = 2026-02-01\n"
    start, later = 1_767_225_600_000_000, 1_769_904_000_000_000
    assert price_lines(text, "p.toml") == [
        PriceLine(start, "m", prices=(1, 1, 3_000_000, 1, 2_500_000)),
        PriceLine(start, "n", alias_of="m"),
        PriceLine(later, "m", prices=(1, 1, 1, 1, 2_500_000)),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + MODEL.replace("0.000001", "0.0000001"), "model m: input is not a number in steps of 0.000001"),
        (HEAD + MODEL.replace("output = 2.5", ""), "model m: output is not a number"),
        (HEAD + MODEL + "outptu = 3\n", "model m: unknown name 'outptu'"),
        (HEAD + MODEL.replace('"m"', '"*"'), r"model '\*': is not a model's name"),
        (HEAD + "model = 3", r":2: model: is not a list of tables"),
        (HEAD + MODEL.replace("[[model]]", "[[model]]]"), "not valid TOML.*line 2"),
        (HEAD + "default = 3", r":2: default: is not a table"),
        (MODEL, "effective_from is not an instant"),
    ],
)
def test_a_wrong_document_names_file_and_entry(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        price_lines(text, "p.toml")
    assert refused.value.setting.partition(":")[0] == "p.toml"


def test_a_change_needs_an_hours_notice() -> None:
    lines = price_lines(HEAD + MODEL, "p.toml")
    check_effective(lines, lines[0].effective_from - NOTICE_US, "p.toml")
    with pytest.raises(
        ConfigError, match=r"p\.toml: price of m: effective_from 2026-01-01T00:00:00Z is less than an hour ahead"
    ):
        check_effective(lines, lines[0].effective_from - NOTICE_US + 1, "p.toml")
