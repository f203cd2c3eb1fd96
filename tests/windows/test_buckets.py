"""Blocks of sums, and items' bookings, against dictionaries."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.windows.bookings import ItemBookings
from streams.windows.buckets import Buckets
from streams.windows.measures import OUTCOME_MEASURES
from streams.windows.rolling import Ints

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(-3, 3)), max_size=12)
MANY = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 300), st.integers(-3, 3)), max_size=120)
BATCHES = st.lists(st.tuples(st.sampled_from(("add", "replace", "forget")), ROWS | MANY), max_size=8)


def columns(rows: list[tuple[int, int, int]]) -> tuple[Ints, Ints, Ints]:
    buckets, owners, values = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    return buckets, owners, values.reshape(-1, 1)


def contents(sums: Buckets) -> dict[tuple[int, int], int]:
    out = {}
    for bucket in sums.between(None, 99):
        owners, at, values = sums.copy([bucket])
        assert (at == bucket).all()
        assert (np.diff(owners) > 0).all()
        assert sums.rows_in(bucket) == len(owners)
        out.update({(bucket, owner): value for owner, [value] in zip(owners.tolist(), values.tolist(), strict=True)})
    assert len(out) == len(sums) == len(sums.copy(sums.between(None, 99))[0])
    return out


@settings(max_examples=200, deadline=None)
@given(BATCHES)
def test_sums_by_bucket_and_owner(batches: list[tuple[str, list[tuple[int, int, int]]]]) -> None:
    sums, naive = Buckets(1), dict[tuple[int, int], int]()
    for action, rows in batches:
        if action == "add":
            sums.add(*columns(rows))
            for bucket, owner, value in rows:
                naive[bucket, owner] = naive.get((bucket, owner), 0) + value
            continue
        if action == "forget":
            sums.forget(before := len(rows) % 4)
            naive = {(bucket, owner): value for (bucket, owner), value in naive.items() if bucket >= before}
            continue
        distinct = list({(bucket, owner): (bucket, owner, value) for bucket, owner, value in rows}.values())
        changes = sums.replace(*columns(distinct))
        assert changes[:, 0].tolist() == [value - naive.get((bucket, owner), 0) for bucket, owner, value in distinct]
        naive.update({(bucket, owner): value for bucket, owner, value in distinct})
    assert contents(sums) == naive


def test_a_row_that_would_be_put_twice_is_refused() -> None:
    sums = Buckets(1)
    with pytest.raises(ValueError, match="twice"):
        sums.replace(*columns([(1, 1, 1), (2, 1, 1), (1, 1, 2)]))
    assert len(sums) == 0


@settings(deadline=None)
@given(ROWS, st.integers(0, 5), st.integers(0, 5))
def test_buckets_between(rows: list[tuple[int, int, int]], first: int, last: int) -> None:
    sums = Buckets(1)
    sums.add(*columns(rows))
    held = {bucket for bucket, _, _ in rows}
    assert sums.between(first, last) == sorted(b for b in held if first <= b <= last)
    assert sums.between(None, last) == sorted(b for b in held if b <= last)
    assert sums.between(first - 1000, last) == sums.between(None, last)
    assert len(sums.copy([7])[0]) == 0


@settings(deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_without_measures_it_is_a_set(batches: list[list[tuple[int, int, int]]]) -> None:
    members = Buckets(0)
    for rows in batches:
        buckets, owners, _ = columns(rows)
        members.add(buckets, owners, np.zeros((len(rows), 0), np.int64))
    owners, at, _ = members.copy(members.between(None, 99))
    assert set(zip(at.tolist(), owners.tolist(), strict=True)) == {row[:2] for rows in batches for row in rows}


ITEMS = st.sampled_from((("acme", "i"), ("acme", "j"), ("beta", "i")))
ROWS_OF_ITEMS = st.lists(
    st.tuples(ITEMS, st.integers(0, 3), st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=6
)
UPDATES = st.lists(st.tuples(st.integers(0, 4), ROWS_OF_ITEMS, st.integers(0, 3)), max_size=20)
"""Version, rows (item, series, pane, amount), and the first pane to keep from then on."""


def booked(version: int, rows: list[tuple[tuple[str, str], int, int, int]]) -> tuple[pl.DataFrame, Ints, Ints]:
    frame = pl.DataFrame(
        {
            "kpart": [0] * len(rows),
            "tenant": [r[0][0] for r in rows],
            "work_item_id": [r[0][1] for r in rows],
            "version": [version] * len(rows),
        }
    )
    values = np.zeros((len(rows), len(OUTCOME_MEASURES)), np.int64)
    values[:, -1] = [r[3] for r in rows]
    return frame, np.array([r[1:3] for r in rows], np.int64), values


@settings(max_examples=100, deadline=None)
@given(ROWS_OF_ITEMS, st.integers(0, 2), UPDATES)
def test_an_update_replaces_all_bookings_of_its_items_unless_it_is_older(
    stored: list[tuple[tuple[str, str], int, int, int]],
    stored_version: int,
    updates: list[tuple[int, list[tuple[tuple[str, str], int, int, int]], int]],
) -> None:
    bookings = ItemBookings()
    versions: dict[tuple[str, str], int] = {}
    named: set[tuple[str, str]] = set()
    held: dict[tuple[str, str], Counter[tuple[int, int]]] = {}
    totals = Counter[tuple[int, int]]()
    newest = 1
    bookings.load(*booked(stored_version, stored), {0: newest})
    for item, series, pane, amount in stored:
        held.setdefault(item, Counter())[series, pane] += amount
        versions[item] = stored_version
        totals[series, pane] += amount
    for version, rows, keep in updates:
        older = {row[0] for row in rows if version < versions.get(row[0], newest)}
        newest = max(newest, version)
        places, changes, unnamed = bookings.replace(*booked(version, rows))
        for (series, pane), change in zip(places.tolist(), changes[:, -1].tolist(), strict=True):
            totals[series, pane] += change
        new: dict[tuple[str, str], Counter[tuple[int, int]]] = {}
        for item, series, pane, amount in rows:
            if item not in older:
                new.setdefault(item, Counter())[series, pane] += amount
        doubtful = {row[0] for row in rows if row[0] not in named or row[0] in older}
        assert {tuple(place) for place in places[unnamed].tolist()} >= {row[1:3] for row in rows if row[0] in doubtful}
        assert unnamed.any() == bool(doubtful)
        held |= new
        versions |= dict.fromkeys(new, version)
        named |= set(new)
        expected: Any = sum(held.values(), Counter())
        assert +totals == expected
        bookings.forget(keep)
        for item in [item for item, places_of in held.items() if max(pane for _, pane in places_of) < keep]:
            totals -= held.pop(item)
            versions.pop(item)
            named.discard(item)


def test_replaced_and_forgotten_bookings_do_not_pile_up() -> None:
    bookings = ItemBookings()
    for version in range(100):
        rows = [(("acme", f"i{version // 2 * 10 + n}"), 1, version, 1) for n in range(10)]
        bookings.replace(*booked(version, rows))
        bookings.forget(version - 5)
        assert len(bookings) <= 100
    assert len(bookings._places) <= 128
