"""The batches of one fetch are uncompressed into one buffer, and joined without a copy; what does not fit is as right."""

from __future__ import annotations

import random

import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from streams.agents.record_batch import RawRecords, Room
from streams.events.records import Records

CODECS = range(5)
"""none, gzip, snappy, lz4 and zstd, as Kafka numbers them."""


def fetch(codec: int, batches: list[list[bytes | None]]) -> bytes:
    """Record batches, one after the other."""
    out = b""
    for values in batches:
        builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 24)
        for i, value in enumerate(values):
            builder.append(i, 0, None, value, [])
        out += bytes(builder.build())
    return out


def read(data: bytes) -> list[Records]:
    """The records of each batch."""
    found, out = RawRecords(data), []
    while found.has_next():
        out.append(found.next_batch().read().records)
    return out


def noise(seed: int, size: int) -> bytes:
    """Bytes of which two thirds cannot be compressed."""
    return random.Random(seed).randbytes(2 * size // 3).ljust(size, b".")


@pytest.mark.parametrize("codec", CODECS)
def test_batches_of_a_fetch_lie_in_one_buffer(codec: int) -> None:
    batches: list[list[bytes | None]] = [[noise(10 * n + i, 300) for i in range(10)] for n in range(20)]
    parts = read(fetch(codec, batches))
    joined = Records.joined(parts)
    assert list(joined) == [value for values in batches for value in values]
    assert all(np.shares_memory(part.buffer, joined.buffer) for part in parts)


@pytest.mark.parametrize("codec", CODECS)
def test_batches_that_take_more_room_than_expected(codec: int) -> None:
    batches: list[list[bytes | None]] = [
        [noise(1, 300)], [b"x" * 100_000], [None, noise(2, 50), b""], [b"y" * 300_000, b"z"], [noise(3, 5000)], [None],
    ]  # fmt: skip
    parts = read(fetch(codec, batches))
    assert [list(part) for part in parts] == batches
    assert list(Records.joined(parts)) == [value for values in batches for value in values]


@pytest.mark.parametrize("codec", CODECS[1:])
def test_how_much_room_is_taken_is_learnt_and_bounded(codec: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Room, "times", 0.5)
    batches: list[list[bytes | None]] = [[noise(10 * n + i, 300) for i in range(10)] for n in range(20)]
    too_little = read(fetch(codec, batches))
    assert not all(np.shares_memory(part.buffer, too_little[-1].buffer) for part in too_little)
    assert list(Records.joined(too_little)) == [value for values in batches for value in values]
    enough = read(fetch(codec, batches))
    assert all(np.shares_memory(part.buffer, enough[-1].buffer) for part in enough)
    assert 1 < Room.times < 2
    assert len(enough[-1].buffer) < 1.1 * sum(len(value or b"") + 10 for values in batches for value in values)
    read(fetch(codec, [[b"x" * 100_000]]))
    assert 2 < Room.times <= 6


def test_what_is_not_compressed_takes_no_more_room_than_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Room, "times", 6.0)
    data = fetch(0, [[noise(1, 3000)], [noise(2, 3000)]])
    assert len(read(data)[-1].buffer) == len(data)
    assert Room.times == 6.0


@pytest.mark.parametrize("codec", [3, 4])
def test_many_times_as_much_as_was_ever_seen_lies_in_few_buffers(codec: int) -> None:
    batches: list[list[bytes | None]] = [[noise(n, 400) * 12] for n in range(20)]  # 11 to 15 times
    parts = read(fetch(codec, batches))
    assert list(Records.joined(parts)) == [value for values in batches for value in values]
    assert len({id(part.buffer) for part in parts}) <= 4


VALUES = st.lists(st.none() | st.binary(max_size=20), max_size=6)


@given(st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=4), st.randoms())
def test_joined_is_one_after_the_other(buffers: list[list[list[bytes | None]]], rng: random.Random) -> None:
    parts = []
    for lists in buffers:
        whole, begin = Records.of([value for values in lists for value in values]), 0
        for values in lists:
            parts.append(whole.take(np.arange(begin, begin + len(values))))
            begin += len(values)
    rng.shuffle(parts)
    assert list(Records.joined(parts)) == [value for part in parts for value in part]
