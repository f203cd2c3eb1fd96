"""The embedded stack: a broker, ClickHouse and workers as one supervised process tree over one data directory."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import Request, urlopen

from streams.local.broker import Broker, start_broker
from streams.local.directory import locked_directory
from streams.local.process import Child, reserve_port

DATABASE = "tokenworth"
_CHECK_EVERY_S = 0.2
_CLICKHOUSE_CLOSES_S = 10.0  # a server whose stack was killed may still be closing the directory


@dataclass(frozen=True)
class ClickHouse:
    """The process of an embedded ClickHouse."""

    address: str  # http://127.0.0.1:port
    child: Child

    def wait_until_ready(self) -> None:
        """Block until it answers. Raises TokenworthError when its process ends before."""
        self.child.wait_until(lambda: _asks(f"{self.address}/ping"))


def start_clickhouse(data: Path, logs: Path, *, port: int = 0, memory_mb: int = 2048) -> ClickHouse:
    """Start ClickHouse over the directory `data`; returns before it is ready. Raises SetupError when the port is taken."""
    port = reserve_port("clickhouse", port)
    argv = [sys.executable, "-m", "streams.local.clickhouse", "--port", str(port), "--path", str(data)]
    argv += ["--memory-mb", str(memory_mb), "--patience-s", str(_CLICKHOUSE_CLOSES_S)]
    child = Child("clickhouse", argv, logs / "clickhouse.log", env={"TZ": "UTC"}, death_signal=signal.SIGTERM)
    return ClickHouse(f"http://127.0.0.1:{port}", child)


class Stack:
    """`with Stack(data_dir) as stack:` starts broker and ClickHouse, waits until both answer, and stops everything at the end.

    Layout of `data_dir`: `lock`, `clickhouse/`, `kafka/`, `logs/NAME.log`. Port 0 takes a free one. Inside the block SIGTERM acts as Ctrl-C does
    (KeyboardInterrupt), so that both end in order: workers first, then ClickHouse and the broker. Children also end when this process is killed;
    on Linux they end with the thread that entered the block, so enter it in a thread that lasts.

    Entering raises SetupError: directory not writable or in use, port taken, something missing for the broker.
    """

    def __init__(
        self,
        data_dir: Path,
        broker: str = "auto",
        *,
        kafka_port: int = 0,
        clickhouse_port: int = 0,
        clickhouse_memory_mb: int = 2048,
        kafka_proxies: Mapping[int, int] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.logs = data_dir / "logs"
        self._choice, self._kafka_port, self._clickhouse_port = broker, kafka_port, clickhouse_port
        self._memory_mb, self._kafka_proxies = clickhouse_memory_mb, kafka_proxies
        self._broker: Broker | None = None
        self._clickhouse: ClickHouse | None = None
        self._children: list[Child] = []
        self._exits = ExitStack()

    @property
    def broker(self) -> Broker:
        """The broker; only inside the block."""
        assert self._broker is not None, "the stack is not running"
        return self._broker

    @property
    def kafka(self) -> str:
        """Bootstrap servers, host:port[,host:port]."""
        return self.broker.address

    @property
    def clickhouse(self) -> str:
        """URL of the database, which exists."""
        assert self._clickhouse is not None, "the stack is not running"
        return f"{self._clickhouse.address}/{DATABASE}"

    @property
    def env(self) -> dict[str, str]:
        """Settings that point a process of tokenworth at this stack."""
        return {
            "TOKENWORTH_KAFKA": self.kafka,
            "TOKENWORTH_CLICKHOUSE": self.clickhouse,
            "TOKENWORTH_DATA_DIR": str(self.data_dir),
        }

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            exits.enter_context(locked_directory(self.data_dir))
            self.logs.mkdir(exist_ok=True)
            exits.callback(_sigterm_interrupts())
            exits.callback(self._stop_children)
            self._clickhouse = clickhouse = start_clickhouse(
                self.data_dir / "clickhouse", self.logs, port=self._clickhouse_port, memory_mb=self._memory_mb
            )
            self._children.append(clickhouse.child)
            self._broker = start_broker(
                self._choice,
                self.data_dir / "kafka",
                self.logs,
                port=self._kafka_port,
                proxies=self._kafka_proxies,
            )
            if self._broker.child is not None:
                self._children.append(self._broker.child)
            self.wait_until_ready()
            _asks(clickhouse.address, f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def wait_until_ready(self) -> None:
        """Block until ClickHouse and the broker answer, also after a restart of theirs."""
        assert self._clickhouse is not None, "the stack is not running"
        self._clickhouse.wait_until_ready()
        self.broker.wait_until_ready()

    def spawn(self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Child:
        """Start a worker with the stack's settings; `env` overrides them. Its log is logs/NAME.log."""
        child = Child(name, argv, self.logs / f"{name}.log", env={**self.env, **(env or {})})
        self._children.append(child)
        return child

    def child(self, name: str) -> Child:
        """The child of this name: clickhouse, kafka, tansu or a worker's."""
        return next(child for child in self._children if child.name == name)

    def release(self, child: Child) -> None:
        """Stop a worker whose end is wanted, so that it no longer counts as dead."""
        self._children.remove(child)
        child.stop()

    def check(self) -> None:
        """Raise TokenworthError when a child has ended: which, how, and the last lines of its log."""
        for child in self._children:
            child.check()

    def wait(self) -> None:
        """Block until Ctrl-C or SIGTERM, then return. Raises TokenworthError when a child ends. Leaving the block ends everything."""
        try:
            while True:
                self.check()
                time.sleep(_CHECK_EVERY_S)
        except KeyboardInterrupt:
            return

    def _stop_children(self) -> None:
        """Workers first and all at once; then what they write to. ClickHouse and Kafka close their data."""
        servers = [child for child in self._children if child.name in ("clickhouse", "kafka", "tansu")]
        workers = [child for child in self._children if child not in servers]
        for group in (workers, servers):
            for child in group:
                child.terminate()
            for child in group:
                child.end()
        self._children.clear()


def _asks(url: str, statement: str = "") -> bool:
    """Whether the server does what it is asked."""
    try:
        with urlopen(Request(url, data=statement.encode() or None), timeout=10):  # noqa: S310  (a loopback address)
            return True
    except OSError:
        return False


def _sigterm_interrupts() -> Callable[[], object]:
    """Make SIGTERM raise KeyboardInterrupt; returns what restores the handler. Python allows this in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    return lambda: signal.signal(signal.SIGTERM, previous)
