"""Numbers for the places that usage and outcomes book at, and for the groups that these belong to."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.events.text_columns import TextColumns, together
from streams.windows.families import DIMENSIONS, GROUPINGS, WITHOUT_CLASS
from streams.windows.rolling import Ints

Mask = npt.NDArray[np.bool_]

COLUMNS = tuple(GROUPINGS)
_ABSENT = len(DIMENSIONS)
_KEPT = {
    grouping: itemgetter(*[place if name in kept else _ABSENT for place, name in enumerate(DIMENSIONS)])
    for grouping, kept in GROUPINGS.items()
}
"""Of the values of DIMENSIONS and '' behind them those of a group."""
PLAIN = tuple(COLUMNS.index(WITHOUT_CLASS.get(name, name)) for name in COLUMNS)
"""Per grouping: the column of the grouping whose contributors it takes."""


def distinct(frame: pl.DataFrame, columns: Sequence[str]) -> tuple[pl.DataFrame, Ints]:
    """The distinct rows of some columns in order of appearance, and for each row of the frame which of them it is."""
    keys = frame.select(columns)
    found = keys.unique(maintain_order=True).with_row_index("row")
    which = keys.join(found, on=list(columns), how="left", maintain_order="left")["row"]
    return found.drop("row"), which.cast(pl.Int64).to_numpy()


class Groups:
    """A series is one combination of DIMENSIONS; it belongs to one group of each grouping. Both are numbered as they appear."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, ...], int] = {}
        self._groups: dict[tuple[str, ...], int] = {}
        self._rows: list[list[int]] = []
        self._plain: list[int] = []
        self._plain_of: Ints = np.zeros(0, np.int64)
        self._table: Ints = np.zeros((0, len(COLUMNS)), np.int64)
        self._names = pl.DataFrame()

    def series(self, frame: pl.DataFrame) -> Ints:
        """The series of each row of a frame with all DIMENSIONS; without `work_class` it is ''."""
        keys = frame.select(pl.col(name).cast(pl.String) for name in DIMENSIONS if name in frame.columns)
        columns = TextColumns(keys)
        if met := together([columns.codes(name) for name in keys.columns]):
            found, which = keys[met.firsts], met.numbers
        else:
            found, which = distinct(keys, keys.columns)
        return np.array([self._number((*row, "")[: len(DIMENSIONS)]) for row in found.iter_rows()], np.int64)[which]

    def _number(self, values: tuple[str, ...]) -> int:
        number = self._series.get(values)
        if number is None:
            number = self._series[values] = len(self._rows)
            padded = (*values, "")
            self._rows.append([self._group(grouping, padded) for grouping in GROUPINGS])
        return number

    def _group(self, grouping: str, values: tuple[str, ...]) -> int:
        group = (grouping, *_KEPT[grouping](values))
        if (known := self._groups.get(group)) is not None:
            return known
        plain = self._group(WITHOUT_CLASS[grouping], values) if grouping in WITHOUT_CLASS else len(self._plain)
        number = self._groups[group] = len(self._plain)
        self._plain.append(plain)
        return number

    @property
    def table(self) -> Ints:
        """Groups by series (rows) and grouping (columns)."""
        if len(self._table) < len(self._rows):
            self._table = np.array(self._rows, np.int64).reshape(-1, len(COLUMNS))
        return self._table

    @property
    def plain(self) -> Ints:
        """For each group, the one whose contributors it takes: itself, or its like without work class."""
        if len(self._plain_of) < len(self._plain):
            self._plain_of = np.array(self._plain, np.int64)
        return self._plain_of

    def names(self, groups: Ints) -> pl.DataFrame:
        """Grouping and dimensions of groups."""
        if len(self._names) < len(self._groups):
            self._names = pl.DataFrame(list(self._groups), schema=["grouping", *DIMENSIONS], orient="row")
        return self._names[groups]

    def of_one_tenant(self, series: Ints) -> Mask:
        """Marks all series of the tenants that some series belong to."""
        tenants = self.table[:, COLUMNS.index("tenant")]
        return np.isin(tenants, np.unique(tenants[series]))
