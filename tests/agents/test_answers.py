"""Large answers arrive whole and in order however the network cuts them, and end with their connection; what aiokafka reads of them is the same."""

from __future__ import annotations

import asyncio
import io
import random
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiokafka.conn as connections
import pytest
from aiokafka.protocol.types import Array, Bytes, Int32, Schema, String
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.agents.answers import LARGE, Answer, AnswerProtocol, read_answers_in_place

LENGTHS = st.lists(
    st.sampled_from((0, 1, 5, LARGE - 4, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE, 11 * LARGE + 7)), max_size=6
)


async def received(sent: bytes, answers: int, cuts: Sequence[int]) -> list[bytes]:
    """Answers as a connection reads them from a server that sends these bytes in pieces, and then ends."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            writer.write(sent[begin:end])
            with suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    server, loop = await asyncio.start_server(serve, "127.0.0.1", 0), asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=connections.READER_LIMIT, loop=loop)
    protocol = AnswerProtocol(loop.create_future(), reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, *server.sockets[0].getsockname())
    try:
        found: list[Any] = []
        for _ in range(answers):
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            found.append(await reader.readexactly(size))
        assert all(isinstance(one, bytes) or len(one) >= LARGE for one in found)
        return [bytes(one) for one in found]
    finally:
        transport.close()
        await ended.wait()
        server.close()
        await server.wait_closed()


def framed(answers: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack(">i", len(one)) + one for one in answers)


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.integers(0, 2**32))
def test_answers_arrive_as_they_were_sent(lengths: list[int], seed: int) -> None:
    rng = random.Random(seed)
    answers = [rng.randbytes(length) for length in lengths]
    sent = framed(answers)
    cuts = sorted(rng.randrange(len(sent) + 1) for _ in range(rng.randrange(8)))
    assert asyncio.run(received(sent, len(answers), cuts)) == answers


@pytest.mark.parametrize("length", [10, LARGE, 20 * LARGE])
@pytest.mark.parametrize("missing", [1, 9])
def test_a_connection_that_ends_within_an_answer(length: int, missing: int) -> None:
    whole, cut = random.Random(1).randbytes(LARGE), random.Random(2).randbytes(length)
    with pytest.raises(asyncio.IncompleteReadError) as error:
        asyncio.run(received(framed([whole, cut])[:-missing], 2, []))
    assert error.value.expected == length
    assert error.value.partial == cut[:-missing]


@pytest.mark.parametrize("length", [0, LARGE - 1, LARGE, 3 * LARGE])
def test_what_is_read_of_an_answer(length: int) -> None:
    schema = Schema(("name", String("utf-8")), ("parts", Array(("number", Int32), ("records", Bytes))))
    parts = [(1, random.Random(3).randbytes(length)), (2, None), (3, b"end")]
    data = schema.encode(["a name", parts])
    name, found = schema.decode(Answer(memoryview(data)))
    assert (name, found) == schema.decode(io.BytesIO(data)) == ("a name", parts)
    assert isinstance(found[0][1], memoryview) == (length >= LARGE)
    with pytest.raises(ValueError, match="underrun"):
        schema.decode(Answer(memoryview(data)[:-1]))


def test_a_lost_connection_holds_no_memory() -> None:
    async def lost() -> tuple[AnswerProtocol, asyncio.StreamReader]:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        reader = asyncio.StreamReader(loop=loop)
        protocol = AnswerProtocol(closed := loop.create_future(), reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, *server.sockets[0].getsockname())
        assert len(protocol.get_buffer(-1)) == LARGE
        transport.close()
        await closed
        server.close()
        await server.wait_closed()
        return protocol, reader

    protocol, reader = asyncio.run(lost())
    assert len(protocol.get_buffer(-1)) == 0
    assert "readexactly" not in vars(reader)


def test_connections_of_this_process_read_so() -> None:
    read_answers_in_place()
    assert connections.AIOKafkaProtocol is AnswerProtocol
    assert isinstance(connections.io.BytesIO(memoryview(b"12")), Answer)
    assert connections.io.BytesIO(b"12").read() == b"12"
