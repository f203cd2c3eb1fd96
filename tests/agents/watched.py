"""A worker process whose pages a test reads, and what happens to its neighbours."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from streams.local.process import Child, reserve_port
from tests.e2e.system import System

STOP_S = 10.0
PATIENCE_S = 60.0


@dataclass
class Watched:
    """A running worker with pages."""

    system: System
    child: Child
    port: int

    def page(self, name: str) -> tuple[int, str]:
        """Status and text of /live or /ready; (0, '') when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=2) as answer:
                return answer.status, answer.read().decode().strip()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode().strip()
        except OSError:
            return 0, ""

    def wait_until_ready(self) -> None:
        """Block until /ready says 200."""
        self.wait_for(200, "")

    def wait_for(self, status: int, text: str, timeout_s: float = PATIENCE_S) -> tuple[float, str]:
        """Block until /ready has this status and contains the text. Returns the seconds waited and what the page says."""
        began = time.monotonic()
        while True:
            found = self.page("ready")
            if found[0] == status and text in found[1]:
                return time.monotonic() - began, found[1]
            assert self.child.exit_code is None, f"ended with {self.child.exit_code}\n{self.child.log_tail()}"
            waited = time.monotonic() - began
            assert waited < timeout_s, (
                f"not {status} {text!r} after {waited:.0f} s, but {found}\n{self.child.log_tail()}"
            )
            time.sleep(0.1)

    def stop(self, *, after: int = 0) -> float:
        """SIGTERM: it must end by itself within STOP_S with exit code `after`. Returns the seconds that it took."""
        began = time.monotonic()
        self.child.terminate()
        return self.ended(began, after)

    def ended(self, began: float, code: int) -> float:
        """Wait for its end within STOP_S of `began`, with this exit code. Returns the seconds that it took."""
        found = self.child.join(STOP_S + began - time.monotonic())
        seconds = time.monotonic() - began
        assert found == code, f"ended with {found} after {seconds:.1f} s\n{self.child.log_tail()}"
        print(f"{self.child.name}: ended with {found} after {seconds:.1f} s")
        return seconds

    def log(self) -> str:
        """All that it has logged."""
        return self.child.log.read_text()


@contextmanager
def worker(system: System, name: str, *, fault: str = "", **env: str) -> Iterator[Watched]:
    """Run a worker during the block; kills it at the end if it still runs. `fault`: see tests.agents.faulty."""
    port = reserve_port("pages")
    argv = ["-m", "tests.agents.faulty", fault] if fault else ["-m", "streams.cli", "worker"]
    settings = {
        "TOKENWORTH_METRICS_PORT": str(port), "TOKENWORTH_SESSION_TIMEOUT_S": "3", "TOKENWORTH_STALL_LIMIT_S": "3",
        "TOKENWORTH_WATERMARK_IDLE_S": "1", "CLICKHOUSE_PID": str(system.stack.child("clickhouse").pid), **env,
    }  # fmt: skip
    child = system.stack.spawn(name, [sys.executable, *argv], env=settings)
    try:
        yield Watched(system, child, port)
    finally:
        child.kill()
        system.stack.release(child)


@contextmanager
def hanging(child: Child) -> Iterator[None]:
    """During the block the server accepts connections and never answers."""
    os.kill(child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child.pid, signal.SIGCONT)


@contextmanager
def dead(system: System, child: Child) -> Iterator[None]:
    """During the block the server refuses connections."""
    child.kill()
    try:
        yield
    finally:
        child.restart()
        system.stack.wait_until_ready()
