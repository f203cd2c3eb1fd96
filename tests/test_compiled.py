"""What compiled loops are given besides arrays."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from streams.compiled import compiled, fetch


@compiled
def _fetch_all(rows: Any, places: Any) -> int:
    for k in range(len(places)):
        fetch(rows, places[k])
    return len(places)


@pytest.mark.parametrize("rows", [np.arange(30, dtype=np.uint32).reshape(10, 3), np.arange(10)])
def test_a_place_may_be_fetched_wherever_it_is(rows: Any) -> None:
    before = rows.copy()
    places = np.array([0, 9, 10, 1 << 20, 1 << 40, (1 << 64) - 1], np.uint64)
    assert _fetch_all(rows, places) == len(places)
    assert (rows == before).all()


def test_what_is_fetched_is_said_by_the_machine_code() -> None:
    loop: Any = _fetch_all
    uncached: Any = numba.njit(loop.py_func)  # code that comes from the disk cannot be looked into
    uncached(np.zeros((4, 3), np.uint32), np.zeros(1, np.uint64))
    assert all("prefetch" in code for code in uncached.inspect_llvm().values())
