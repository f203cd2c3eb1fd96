"""Series and groups are numbered as they appear, however many there are in a frame."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from streams.windows.families import DIMENSIONS, GROUPINGS
from streams.windows.groups import COLUMNS, Groups


@pytest.mark.parametrize("teams", [3, 3000])
@pytest.mark.parametrize("dimensions", [DIMENSIONS, DIMENSIONS[:-1]])
def test_a_series_has_one_number_and_a_group_of_each_grouping(teams: int, dimensions: tuple[str, ...]) -> None:
    groups, held, made = Groups(), dict[tuple[str, ...], int](), dict[tuple[str, ...], int]()
    for begin in (0, teams // 2):
        rows = [
            ("acme", f"team {k % teams}", f"tool {k % 2}", "m", f"class {k % 3}")[: len(dimensions)]
            for k in range(begin, begin + 2 * teams)
        ]
        series = groups.series(pl.DataFrame(rows, schema=dimensions, orient="row"))
        for row, number, belongs in zip(rows, series.tolist(), groups.table[series].tolist(), strict=True):
            assert held.setdefault(row, len(held)) == number
            values = dict(zip(DIMENSIONS, (*row, "")[: len(DIMENSIONS)], strict=True))
            for grouping, group in zip(COLUMNS, belongs, strict=True):
                name = (grouping, *(values[name] if name in GROUPINGS[grouping] else "" for name in DIMENSIONS))
                assert made.setdefault(name, group) == group
    assert len(set(made.values())) == len(made)
    assert groups.names(np.array(list(made.values()))).rows() == list(made)
