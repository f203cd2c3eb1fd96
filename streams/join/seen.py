"""The dedup index: which identities a partition has already applied.

Of an identity's hash 76 bits are kept, beside the hour of its event time: 12 bytes, in tables that are three quarters full. For two to be
mistaken they would have to agree in 76 bits: once in 10^15 events among 10^8 in a partition's horizon. In a table they stand in the order of
their hash, nearly at the place that it says, so that adding one costs a look at one place however many there are, and a larger table is filled
by one pass over the smaller.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.compiled import Number, compiled, fetch, given, inlined

Array = npt.NDArray[Any]
Hashes = npt.NDArray[np.uint64]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MOST_LATE: Final = 1 << 20
"""Late identities in memory, before those that the store holds are dropped: bounds a backfill under a standing watermark."""

HOUR_BITS: Final = 20
FULL, FILLED = 0.78, 0.70
"""How full a table may become, and how full it is when it is made anew: 12 bytes / 0.7 are 17.1 for an identity. Fuller ones shift more."""
SPARE: Final = 1024
"""Cells behind the last place, for what was pushed on."""
SMALL: Final = 1 << 14
"""Cells of the smallest table."""
_AHEAD: Final = 16
"""Identities whose place is fetched before they are looked for."""
_PER_LINE: Final = 5
"""Cells of a line of the caches; to push on what stands there takes three of them mostly."""
_HOUR_US: Final = 3_600_000_000
_FIRST_HOUR: Final = 1_420_070_400_000_000 // _HOUR_US
"""2015: no event is older. 20 bits reach to 2134; what lies outside counts as the nearer end, and is kept for longer."""


class Cells(NamedTuple):
    """`cells` [places + SPARE, 3] uint32: the hash's high half in two, then 12 bits of the low one and the hour, 0 is empty. `total` [1]."""

    cells: Array
    total: Array


class _Identities:
    """One table."""

    def __init__(self) -> None:
        self.held = Cells(np.zeros((64 + SPARE, 3), np.uint32), np.zeros(1, np.int64))

    def __len__(self) -> int:
        return int(self.held.total[0])

    def reserve(self, more: int, drop_before: int) -> None:
        """Make room for so many; what is older than `drop_before` (us) may go then."""
        places = len(self.held.cells) - SPARE
        if len(self) + more <= FULL * places:
            return
        since = int(_hour(drop_before))
        kept = _kept(self.held, since) + more
        self._move(max(int(kept / FILLED) + 1, min(2 * kept, SMALL)), since)

    def _move(self, places: int, since: int) -> None:
        while True:
            cells = Cells(np.zeros((places + SPARE, 3), np.uint32), np.zeros(1, np.int64))
            if _move(self.held, cells, since):
                self.held = cells
                return
            places += places >> 4


class SeenIndex:
    """Remembers identities until their event time falls behind `forgotten_before`.

    Late ones, whose time was behind it when they came, are kept too until there are too many of them; the store must be asked about them.
    """

    def __init__(self) -> None:
        self._recent, self._late, self._later = _Identities(), _Identities(), _Identities()
        self._forgotten_before = self._drop_before = -(1 << 62)

    def __len__(self) -> int:
        return len(self._recent) + len(self._late) + len(self._later)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(table.held.cells.nbytes for table in (self._recent, self._late, self._later))

    @property
    def forgotten_before(self) -> int:
        """Identities with an earlier time (us) may be forgotten: an absent one proves nothing."""
        return self._forgotten_before

    def forget_before(self, at: int) -> None:
        """Allow identities with a time before `at` (us) to be dropped. Call after a flush was committed: what came since its cut stays."""
        # One flush behind, because what came since the cut may be older than `at`, and the store does not hold it yet.
        self._drop_before = self._forgotten_before
        self._forgotten_before = max(self._forgotten_before, at)
        if len(self._later) > MOST_LATE // 2:
            self._late, self._later = self._later, _Identities()

    def add(self, ids: Hashes, at: Times, asked: Mask | None = None) -> Mask:
        """Add identities ([n, 2], those that are asked for) in order; True where one is new, False where it was there or stands earlier in the
        same call."""
        new = np.zeros(len(ids), np.bool_)
        asked = given(np.ones(len(ids), np.bool_) if asked is None else asked)
        ids, at, begin, never = given(ids), given(at), 0, -(1 << 62)
        late = int((at < self._forgotten_before).sum())
        while begin < len(ids):
            self._recent.reserve(len(ids) - begin, self._drop_before)
            self._later.reserve(late, never)
            begin = _add(
                self._recent.held, self._late.held, self._later.held, ids, at, asked, self._forgotten_before, begin, new
            )
            if begin < len(ids):  # identities were pushed to the end of their table: a larger one has room
                for table in (self._recent, self._later):
                    table.reserve(len(table.held.cells), never)
        return new

    def remember(self, ids: Hashes, at: Times) -> None:
        """Add identities whether or not they are there."""
        self.add(ids, at)


@inlined
def _hour(at: Number) -> Number:
    """Hours since 2015, from 1 on: never 0, so that no cell that is filled looks empty."""
    return np.uint32(min(max(at // _HOUR_US - _FIRST_HOUR + 1, 1), (1 << HOUR_BITS) - 1))


@inlined
def _place(cells: Array, high: Number) -> Number:
    """Where a hash belongs: the places follow each other as the hashes do. The table has fewer than 2^32 places."""
    return (high >> np.uint64(32)) * np.uint64(len(cells) - SPARE) >> np.uint64(32)


@inlined
def _high(cells: Array, at: Number) -> Number:
    return np.uint64(cells[at, 0]) << np.uint64(32) | np.uint64(cells[at, 1])


@inlined
def _find(cells: Array, high: Number, low: Number) -> tuple[bool, Number]:
    """Whether an identity is there, and else the place before the first one with a larger hash."""
    at, end, one = _place(cells, high), np.uint64(len(cells)), np.uint64(1)
    while at < end and cells[at, 2]:
        other = _high(cells, at)
        if other > high:
            break
        if other == high and cells[at, 2] >> np.uint32(HOUR_BITS) == low:
            return True, at
        at += one
    return False, at


@inlined
def _insert(held: Cells, at: Number, high: Number, bits: Number) -> bool:
    """Put a cell at a place, and push on what stands there; False: there is no room behind it."""
    cells, end, one = held.cells, np.uint64(len(held.cells)), np.uint64(1)
    last = at
    while last < end and cells[last, 2]:
        last += one
    if last == end:
        return False
    while last > at:
        for k in range(3):
            cells[last, k] = cells[last - one, k]
        last -= one
    cells[at, 0], cells[at, 1], cells[at, 2] = high >> np.uint64(32), high, bits
    held.total[0] += 1
    return True


@compiled
def _add(
    recent: Cells,
    late: Cells,
    later: Cells,
    ids: Array,
    at: Array,
    asked: Array,
    forgotten_before: Number,
    begin: Number,
    new: Array,
) -> Number:
    """Add ids from row `begin` on; returns the first row that found no room."""
    any_late = late.total[0] > 0
    for i in range(begin, len(ids)):
        if i + _AHEAD < len(ids):
            soon = _place(recent.cells, ids[i + _AHEAD, 0])
            for k in range(3):
                fetch(recent.cells, soon + np.uint64(k * _PER_LINE))
        if not asked[i]:
            continue
        high, low = ids[i, 0], np.uint32(ids[i, 1] >> np.uint64(32 + HOUR_BITS))
        known, place = _find(recent.cells, high, low)
        if known or (any_late and _find(late.cells, high, low)[0]):
            continue
        bits = low << np.uint32(HOUR_BITS) | _hour(at[i])
        is_late = at[i] < forgotten_before
        if later.total[0] or is_late:
            known, place_later = _find(later.cells, high, low)
            if known:
                continue
            if is_late:
                if not _insert(later, place_later, high, bits):
                    return i
                new[i] = True
                continue
        if not _insert(recent, place, high, bits):
            return i
        new[i] = True
    return len(ids)


@compiled
def _kept(held: Cells, since: Number) -> Number:
    count = 0
    mask = np.uint32((1 << HOUR_BITS) - 1)
    for i in range(len(held.cells)):
        if held.cells[i, 2] and held.cells[i, 2] & mask >= since:
            count += 1
    return count


@compiled
def _move(held: Cells, to: Cells, since: Number) -> bool:
    """Fill an empty table with what is of the hour `since` or later; False: it has no room behind the last place."""
    old, cells = held.cells, to.cells
    mask = np.uint32((1 << HOUR_BITS) - 1)
    one = np.uint64(1)
    at = np.uint64(0)
    for i in range(len(old)):
        if old[i, 2] and old[i, 2] & mask >= since:
            at = max(at, _place(cells, _high(old, i)))
            if at == np.uint64(len(cells)):
                return False
            for k in range(3):
                cells[at, k] = old[i, k]
            to.total[0] += 1
            at += one
    return True
