"""Proxies between a worker and what it talks to: a network that can be held, cut and delayed, and a ClickHouse that can be slow or refuse.

All of them run in one event loop in a thread. Their faults are plain attributes, set from any thread; `struck` counts what a fault has met, so
that a test can tell a fault that hit something from one that nobody noticed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

CHUNK_BYTES = 1 << 16
LOOK_S = 0.05
"""How often something that waits looks whether the fault is over."""

Network = Literal["open", "held", "cut", "delayed"]
Answers = Literal["as they are", "slow", "refused", "lost", "none"]

REFUSALS = {
    "too many queries": (500, 202, "Too many simultaneous queries. Maximum: 100. (TOO_MANY_SIMULTANEOUS_QUERIES)"),
    "memory limit": (500, 241, "(total) memory limit exceeded: would use 1.90 GiB. (MEMORY_LIMIT_EXCEEDED)"),
    "too many parts": (500, 252, "Too many parts (3000). Merges are processing slower. (TOO_MANY_PARTS)"),
    "time-out": (503, 209, "Timeout exceeded while reading from socket. (SOCKET_TIMEOUT)"),
    "disk full": (500, 243, "Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"),
}
"""What ClickHouse answers under pressure: HTTP status, code, text. `disk full` is what the engine said on a full 60 MB tmpfs."""

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "expect"}


class Loop:
    """The event loop of all links, in a thread of its own. Use as a context manager; leaving it closes the links."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._links: list[NetworkLink | ClickHouseLink] = []

    def serve(self, link: NetworkLink | ClickHouseLink) -> None:
        """Start a link: from now on it has a port."""
        self._run(link.start())
        self._links.append(link)

    def _run(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(30)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in self._links:
            self._run(link.close())
        self._run(_cancel_the_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_the_rest() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


class NetworkLink:
    """Loopback TCP to `target`, on `port`. `held`: nothing arrives and nothing is refused, as when every packet is lost; what was sent
    arrives once the link is open again. `cut`: connections break and new ones are refused. `delayed`: each piece arrives `delay_s` later.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self.state: Network = "open"
        self.delay_s = 0.0
        self.struck = 0
        self._connections: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Break all connections and listen no more."""
        self._server.close()
        for end in self._connections:
            end.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        try:
            if self.state == "cut":
                self.struck += 1
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            ends.add(far_writer)
            self._connections |= ends
            ways = [asyncio.ensure_future(self._pass(*way)) for way in ((reader, far_writer), (far_reader, writer))]
            _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in left:
                way.cancel()
        except OSError:
            return  # the target is down: so is this connection
        finally:
            self._connections -= ends
            for end in ends:
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                piece = await self._next(reader)
                if not piece or self.state == "cut":
                    return
                if self.state == "delayed":
                    self.struck += 1
                    await asyncio.sleep(self.delay_s)
                if self.state == "held":
                    self.struck += 1
                    while self.state == "held":  # noqa: ASYNC110 - set by another thread
                        await asyncio.sleep(LOOK_S)
                writer.write(piece)
                await writer.drain()

    async def _next(self, reader: asyncio.StreamReader) -> bytes:
        reading = asyncio.ensure_future(reader.read(CHUNK_BYTES))
        try:
            while not (await asyncio.wait({reading}, timeout=LOOK_S * 5))[0]:
                if self.state == "cut":
                    self.struck += 1
                    return b""
            return reading.result()
        finally:
            reading.cancel()


class ClickHouseLink:
    """ClickHouse's HTTP interface in front of the one at `target`, on `port`.

    `slow`: each insert waits `delay_s` first. `refused`: each insert is answered with `refusal`. `lost`: every second insert succeeds,
    and its connection breaks before the answer. `none`: no call gets an answer while it lasts.
    """

    def __init__(self, target: int) -> None:
        self._target = f"http://127.0.0.1:{target}"
        self.port = 0
        self.state: Answers = "as they are"
        self.delay_s = 0.0
        self.refusal = "memory limit"
        self.struck = 0
        self.inserting = 0
        self._inserts = 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._client = ClientSession(auto_decompress=False, timeout=ClientTimeout(total=None))
        app = web.Application(client_max_size=1 << 40)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, auto_decompress=False, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Break all connections and listen no more."""
        await self._runner.cleanup()
        await self._client.close()

    async def _handle(self, call: web.Request) -> web.StreamResponse:
        body = await call.read()
        insert = b"INSERT" in body[:200] or "INSERT" in call.query.get("query", "")[:200]
        self.struck += self.state == "none"
        while self.state == "none":  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(LOOK_S)
        if not insert:
            return await self._forward(call, body)
        if self.state == "slow":
            self.struck += 1
            await asyncio.sleep(self.delay_s)
        if self.state == "refused":
            self.struck += 1
            status, code, text = REFUSALS[self.refusal]
            answer = f"Code: {code}. DB::Exception: {text}\n"
            return web.Response(status=status, text=answer, headers={"X-ClickHouse-Exception-Code": str(code)})
        self._inserts += 1
        lost = self.state == "lost" and self._inserts % 2 == 0
        self.inserting += 1
        try:
            response = await self._forward(call, body)
        finally:
            self.inserting -= 1
        if lost:
            self.struck += 1
            _break(call)
        return response

    async def _forward(self, call: web.Request, body: bytes) -> web.StreamResponse:
        kept = {name: value for name, value in call.headers.items() if name.lower() not in HOP_BY_HOP}
        url = URL(f"{self._target}{call.raw_path}", encoded=True)
        try:
            async with self._client.request(call.method, url, data=body, headers=kept) as answer:
                headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
                return web.Response(status=answer.status, body=await answer.read(), headers=headers)
        except (ClientError, OSError):  # it is down: so is this connection
            _break(call)
            return web.Response(status=502)


def _break(call: web.Request) -> None:
    if call.transport is not None:
        call.transport.abort()
