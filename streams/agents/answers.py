"""How the answer to a fetch arrives: from the socket straight into one buffer of its length, and from there as slices.

aiokafka 0.14 reads through a buffer that grows while it fills, copies all of it, and copies the part of each partition: four times the bytes of
a fetch, mostly in fresh pages, which was an eighth of a worker's CPU time (docs/decisions/0021). Shorter answers go its way.
"""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace
from typing import Any, Final

import aiokafka.conn as connections
import numpy as np

LARGE: Final = 1 << 16
"""Answers of so many bytes have a buffer of their own, and parts of so many bytes are slices of it. No text of Kafka's protocol is as long."""


class AnswerProtocol(connections.AIOKafkaProtocol, asyncio.BufferedProtocol):  # type: ignore[misc]
    """A connection's protocol; its reader waits for one answer after the other."""

    def __init__(self, closed: Any, reader: Any, **options: Any) -> None:
        super().__init__(closed, reader, **options)
        self._reader = reader
        self._read_small, reader.readexactly = reader.readexactly, self._read
        self._small = memoryview(b"")
        self._answer: memoryview | None = None
        self._filled = 0

    def connection_made(self, transport: Any) -> None:
        """The broker is there: only now is memory worth taking, since a worker tries for as long as one is away."""
        self._small = memoryview(bytearray(LARGE))
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the memory, and the cycle with the reader, for which the collector would come late."""
        super().connection_lost(exc)
        self._small = memoryview(b"")
        vars(self._reader).pop("readexactly", None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the socket writes to: the large answer that is waited for, or what is then given to aiokafka's reader."""
        return self._small if self._answer is None else self._answer[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """The socket has written."""
        if self._answer is None:
            self.data_received(bytes(self._small[:nbytes]))
            return
        self._filled += nbytes
        if self._filled == len(self._answer):
            self._answer = None
            self._reader._wakeup_waiter()  # noqa: SLF001 - as its feed_data does

    async def _read(self, length: int) -> bytes | memoryview:
        """The next bytes, as StreamReader.readexactly; large ones as a memoryview. Raises IncompleteReadError when the connection ends before."""
        reader = self._reader
        arrived = len(reader._buffer)  # noqa: SLF001 - what came with the length of the answer
        if length < LARGE or arrived >= length:
            small: bytes = await self._read_small(length)
            return small
        answer: memoryview = np.empty(length, np.uint8).data  # not zeros first, as a bytearray would be
        answer[:arrived] = await self._read_small(arrived)
        self._answer, self._filled = answer, arrived
        try:
            while self._filled < length:
                if reader.at_eof():
                    raise asyncio.IncompleteReadError(bytes(answer[: self._filled]), length)
                await reader._wait_for_data("readexactly")  # noqa: SLF001 - raises what ended the connection
        finally:
            self._answer = None
        return answer


class Answer:
    """A large answer, read as from an io.BytesIO: long parts are slices of it."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def read(self, length: int) -> bytes | memoryview:
        """The next bytes, fewer at the end."""
        part = self._data[self._at : self._at + length]
        self._at += len(part)
        return part if length >= LARGE else bytes(part)


def read_answers_in_place() -> None:
    """Make aiokafka's connections of this process read so: they have no other seam for it."""
    connections.AIOKafkaProtocol = AnswerProtocol
    connections.io = SimpleNamespace(
        BytesIO=lambda data: Answer(data) if isinstance(data, memoryview) else io.BytesIO(data)
    )
