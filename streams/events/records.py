"""The values of records as slices of one buffer: no object per record until somebody asks for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from streams.compiled import given

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


class Records:
    """Record i is `buffer[starts[i]:stops[i]]`; a null value has a stop of -1, and its start means nothing. What a record is made of is read in
    place (events/columns.py)."""

    __slots__ = ("buffer", "starts", "stops")

    def __init__(self, buffer: Bytes, starts: Places, stops: Places) -> None:
        self.buffer, self.starts, self.stops = given(buffer), starts, stops

    @classmethod
    def of(cls, values: Iterable[bytes | None]) -> Records:
        """Copies of values."""
        held = list(values)
        buffer = np.frombuffer(b"".join(value or b"" for value in held), np.uint8)
        ends = np.cumsum(np.fromiter((len(value or b"") for value in held), np.int64, len(held)))
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if held else ends
        missing = np.fromiter((value is None for value in held), np.bool_, len(held))
        return cls(buffer, starts, np.where(missing, -1, ends))

    @classmethod
    def joined(cls, parts: Sequence[Records]) -> Records:
        """One after the other; what lies in one buffer is not copied."""
        parts = [part for part in parts if len(part)] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        spans = [part.span() for part in parts]
        if all(part.buffer is parts[0].buffer for part in parts):
            buffer, shifts = parts[0].buffer[: max(end for _, end in spans)], [0] * len(parts)
        else:
            buffer = np.concatenate([part.buffer[begin:end] for part, (begin, end) in zip(parts, spans, strict=True)])
            ends = accumulate(end - begin for begin, end in spans)
            shifts = [at - end for at, (_, end) in zip(ends, spans, strict=True)]
        starts = [part.starts + shift for part, shift in zip(parts, shifts, strict=True)]
        stops = [np.where(part.stops < 0, -1, part.stops + shift) for part, shift in zip(parts, shifts, strict=True)]
        return cls(buffer, np.concatenate(starts), np.concatenate(stops))

    def span(self) -> tuple[int, int]:
        """The part of the buffer in which all values lie."""
        begin = int(self.starts.min())
        return begin, max(begin, int(self.stops.max()))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> bytes | None:
        start, stop = int(self.starts[index]), int(self.stops[index])
        return None if stop < 0 else self.buffer[start:stop].tobytes()

    def __iter__(self) -> Iterator[bytes | None]:
        data = self.buffer.data
        for start, stop in zip(self.starts.tolist(), self.stops.tolist(), strict=True):
            yield None if stop < 0 else bytes(data[start:stop])

    def take(self, where: Places) -> Records:
        """The records at these positions."""
        return Records(self.buffer, self.starts[where], self.stops[where])
