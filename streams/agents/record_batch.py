"""Kafka's record batches (message format 2), read in place: the values are slices of the uncompressed bytes, those of a fetch of one buffer.

aiokafka makes an object per record, which costs more than all that is done with it afterwards (docs/decisions/0008).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Final, NamedTuple

import cramjam
import numpy as np
import numpy.typing as npt
from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from streams.compiled import Number, compiled, given
from streams.events.records import Records

Array = npt.NDArray[Any]
Int64s = npt.NDArray[np.int64]

_OVERHEAD: Final = struct.Struct(">qi")
"""Base offset and the length of the rest."""
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CRC_FROM: Final = 21
_MAGIC_AT: Final = 16
_MAGIC: Final = 2
_APPEND_TIME, _TRANSACTIONAL, _CONTROL, _CODEC = 0x08, 0x10, 0x20, 0x07
_LEAST_RECORD_BYTES: Final = 7
_CODECS: Final[dict[int, Callable[[memoryview], bytes | memoryview]]] = {
    0: memoryview, 1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode,
}  # fmt: skip
_INTO: Final[dict[int, Callable[[Any, Any], int]]] = {
    3: cramjam.lz4.decompress_into, 4: cramjam.zstd.decompress_into,
}  # fmt: skip
"""Codecs that uncompress into a given array; they raise when that is too short."""
_MOST_TIMES: Final = 6.0
"""Room is taken for at most so many times the compressed bytes."""
_MOST_OF_ONE: Final = 20.0
"""And so many for the rest of a fetch whose batches need more than that."""
_SPARE: Final = 1.05
_NOTHING: Final = np.empty(0, np.uint8)


class Room:
    """Where the batches of one fetch are uncompressed to, one behind the other: nobody has to bring them together afterwards.

    What is taken and never used scatters over the heap what comes after it, so it is no more than the batches before needed.
    """

    times: ClassVar[float] = _MOST_TIMES
    """Room for the compressed bytes of the next fetch; forgotten within a few thousand batches. Of the one thread that reads fetches."""

    def __init__(self, compressed: int) -> None:
        """For batches of so many bytes together; taken when the first one is uncompressed, since answers of Kafka wait for each other."""
        self._compressed, self._read, self._uncompressed = compressed, 0, 0
        self._buffer = self._given = _NOTHING
        self._used = 0

    def _take(self, times: float, least: int = 0) -> None:
        """Room for so many times what is still compressed."""
        self._buffer = np.empty(max(least, int(times * (self._compressed - self._read))), np.uint8)
        self._given, self._used = given(self._buffer), 0

    def uncompress(self, codec: int, data: memoryview) -> tuple[Array, int, int]:
        """The records of the next batch: a buffer, and from where to where in it. Raises what its codec raises."""
        if not self._read:
            self._take(Room.times if codec else 1)
        size = self._put(codec, data)
        self._read += len(data)
        self._uncompressed += size
        self._used += size
        if codec:
            needed = _SPARE * self._uncompressed / max(self._read, 1)
            Room.times = min(max(needed, 0.999 * Room.times), _MOST_TIMES)
        return self._given, self._used - size, self._used

    def _put(self, codec: int, data: memoryview) -> int:
        if into := _INTO.get(codec):
            with suppress(cramjam.DecompressionError):  # too little room, or bytes that raise again below
                return into(data, self._buffer[self._used :])
        body = np.frombuffer(_CODECS[codec](data), np.uint8)
        if len(body) > len(self._buffer) - self._used:
            self._take(min(_SPARE * len(body) / max(len(data), 1), _MOST_OF_ONE), len(body))
        self._buffer[self._used : self._used + len(body)] = body
        return len(body)


class Found(NamedTuple):
    """The records of a batch, their offsets and times (ms)."""

    records: Records
    offsets: Int64s
    times: Int64s


class RecordBatch:
    """One record batch: its header, and the records when they are asked for."""

    def __init__(self, data: memoryview, room: Room) -> None:
        """`data`: the whole batch. Raises CorruptRecordException when it is shorter than a header."""
        if len(data) < _HEADER.size:
            raise CorruptRecordException(f"a record batch of {len(data)} bytes")
        self._data, self._room = data, room
        (
            self.base_offset, _, _, self.magic, self._crc, self._attributes, last_offset_delta, self._first_time, self._last_time,
            self.producer_id, _, _, self._count,
        ) = _HEADER.unpack_from(data)  # fmt: skip
        self.next_offset: int = self.base_offset + last_offset_delta + 1
        self.is_transactional = bool(self._attributes & _TRANSACTIONAL)
        self.is_control_batch = bool(self._attributes & _CONTROL)

    def __next__(self) -> Any:
        """The first record, as aiokafka reads it: a marker, if this is a control batch."""
        return next(DefaultRecordBatch(bytes(self._data)))

    def validate_crc(self) -> bool:
        """Whether the checksum is right."""
        return bool(calc_crc32c(self._data[_CRC_FROM:]) == self._crc)

    def read(self) -> Found:
        """All records. Raises CorruptRecordException when the bytes do not hold exactly these."""
        try:
            buffer, begin, end = self._room.uncompress(self._attributes & _CODEC, self._data[_HEADER.size :])
        except Exception as error:
            raise CorruptRecordException(f"the records cannot be uncompressed: {error}") from error
        count = self._count
        if not 0 <= count <= (end - begin) // _LEAST_RECORD_BYTES:
            raise CorruptRecordException(f"{count} records in {end - begin} bytes")
        places = np.empty((4, count), np.int64)
        if not _split(buffer, begin, end, places):
            raise CorruptRecordException("the records are not laid out as records are")
        starts, stops, offsets, times = places
        if self._attributes & _APPEND_TIME:
            times = np.full(count, self._last_time, np.int64)
        else:
            times = times + self._first_time
        return Found(Records(buffer, starts, stops), offsets + self.base_offset, times)


class OlderBatch:
    """One message set of the formats 0 and 1, by aiokafka's reader."""

    is_control_batch = is_transactional = False
    producer_id = None

    def __init__(self, data: memoryview) -> None:
        self._batch = MemoryRecords(bytes(data)).next_batch()
        self.base_offset, self.next_offset = self._batch.base_offset, self._batch.next_offset

    def validate_crc(self) -> bool:
        """Whether the checksum is right."""
        return bool(self._batch.validate_crc())

    def read(self) -> Found:
        """All records."""
        records = list(self._batch)
        offsets = np.fromiter((record.offset for record in records), np.int64, len(records))
        times = np.fromiter((record.timestamp or -1 for record in records), np.int64, len(records))
        return Found(Records.of(record.value for record in records), offsets, times)


class RawRecords:
    """What a fetch brought of one partition; the last batch may be cut off. Stands in the place of aiokafka's MemoryRecords."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._room = memoryview(data), 0, Room(len(data))

    def size_in_bytes(self) -> int:
        """Length of everything."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether another whole batch is there."""
        return self._end() is not None

    def next_batch(self) -> RecordBatch | OlderBatch:
        """The next whole batch. Raises CorruptRecordException when its length cannot be right."""
        end = self._end()
        assert end is not None
        if end - self._at <= _MAGIC_AT:
            raise CorruptRecordException(f"a record batch of {end - self._at} bytes")
        data, self._at = self._data[self._at : end], end
        return RecordBatch(data, self._room) if data[_MAGIC_AT] >= _MAGIC else OlderBatch(data)

    def _end(self) -> int | None:
        if len(self._data) - self._at < _OVERHEAD.size:
            return None
        end = self._at + _OVERHEAD.size + _OVERHEAD.unpack_from(self._data, self._at)[1]
        return end if self._at <= end <= len(self._data) else None


@compiled
def _split(body: Array, at: Number, end: Number, places: Array) -> bool:
    """Fill `places`: start and stop (-1: null) of each record's value, its offset and its time from those of the batch; whether all is well."""
    for i in range(places.shape[1]):
        size, at = _varint(body, at, end)
        if at < 0 or size < 1 or size > end - at:
            return False
        stop = at + size
        time, at = _varint(body, at + 1, stop)  # behind the attributes, of which there are none
        if at < 0:
            return False
        offset, at = _varint(body, at, stop)
        if at < 0:
            return False
        at = _after(body, at, stop)
        if at < 0:
            return False
        held, value = _varint(body, at, stop)
        if value < 0 or held > stop - value:
            return False
        at = value + max(held, 0)
        places[0, i] = value
        places[1, i] = value + held if held >= 0 else -1
        places[2, i] = offset
        places[3, i] = time
        headers, at = _varint(body, at, stop)
        if at < 0 or headers < 0:
            return False
        for _ in range(2 * headers):
            at = _after(body, at, stop)
            if at < 0:
                return False
        if at != stop:
            return False
    return bool(at == end)


@compiled
def _after(body: Array, at: Number, stop: Number) -> Number:
    """Where bytes that follow their length end; -1: not before `stop`."""
    size, at = _varint(body, at, stop)
    if at < 0 or size > stop - at:
        return -1
    return at + max(size, 0)


@compiled
def _varint(body: Array, at: Number, end: Number) -> tuple[Number, Number]:
    """A zig-zag number and where it ends; -1: it does not end."""
    shift, bits = np.uint64(0), np.uint64(0)
    while at < end and shift < np.uint64(70):
        byte = np.uint64(body[at])
        at += 1
        bits |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return np.int64(bits >> np.uint64(1)) ^ -np.int64(bits & np.uint64(1)), at
        shift += np.uint64(7)
    return 0, -1
