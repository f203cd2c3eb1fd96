"""A server on loopback that answers as a test tells it and keeps what it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """What arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Posted(BaseHTTPRequestHandler):
    """What handlers of requests have in common."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))

    def answer(self, request: Request) -> None:
        """Answer it."""
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@contextmanager
def serving(handler: type[Posted]) -> Iterator[int]:
    """Answer in threads on a free port of loopback, which it yields."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Receiver:
    """The other side. The answer may be changed at any time."""

    port: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str = "ok"
    delay_s: float = 0.0
    drip: bool = False
    """Send the head of the answer a byte at a time, for ever."""
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run one in a thread."""
    receiver = Receiver()

    class Handler(Posted):
        def answer(self, request: Request) -> None:
            receiver.requests.append(request)
            time.sleep(receiver.delay_s)
            try:
                if receiver.drip:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: ")
                    for _ in range(100):
                        self.wfile.write(b"x")
                        time.sleep(0.1)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(receiver.text.encode())
            except OSError:
                self.close_connection = True  # the client has gone

    with serving(Handler) as receiver.port:
        yield receiver
