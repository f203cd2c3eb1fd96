"""Processes of the embedded stack: each with a log file, none outliving the process that started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from streams.errors import SetupError, TokenworthError

_LAUNCH = str(Path(__file__).with_name("launch.py"))
_POLL_S = 0.02
_TAIL_BYTES = 4096
_TAIL_LINES = 15


class Child:
    """A running process. Its output goes to a log file; it ends when the thread that started it ends, whatever the reason.

    `death_signal` is what it then gets: SIGTERM for what has data to close and ends by itself, SIGKILL for what might wait for others.
    It has a process group of its own, so that Ctrl-C reaches only the parent, which stops its children in order.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name, self.log = name, log
        self._argv = [sys.executable, "-I", "-S", _LAUNCH, str(os.getpid()), str(int(death_signal)), *argv]
        self._env = {**os.environ, **(env or {})}
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to stop."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its group at once, as kill -9 does, and reap it."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def join(self, timeout_s: float) -> int | None:
        """Wait for its end. Returns the exit code, None when it still runs after `timeout_s`."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, grace_s: float = 10.0) -> None:
        """Ask it to stop, and kill it when it does not within `grace_s`."""
        self.terminate()
        self.end(grace_s)

    def end(self, grace_s: float = 10.0) -> None:
        """Wait for its end, and kill it when that does not come within `grace_s`."""
        if self.join(grace_s) is None:
            self.kill()

    def restart(self) -> None:
        """Start the same command again after its end."""
        assert self.exit_code is not None, f"{self.name} still runs"
        self._process = self._start()

    def log_tail(self) -> str:
        """The last lines of the log."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:])

    def check(self) -> None:
        """Raise TokenworthError when it has ended."""
        code = self.exit_code
        if code is not None:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise TokenworthError(f"{self.name} {how}\n{self.log_tail()}".rstrip(), remedy=f"its log is {self.log}")

    def wait_until(self, ready: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Block until `ready()`. Raises TokenworthError when the process ends before, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise TokenworthError(
                    f"{self.name} does not answer after {timeout_s:g} s\n{self.log_tail()}".rstrip(),
                    remedy=f"its log is {self.log}",
                )
            time.sleep(_POLL_S)

    def _signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            os.killpg(self._process.pid, number)


_reserved: set[int] = set()


def reserve_port(setting: str, port: int = 0) -> int:
    """`port`, or for 0 a free one that this process has not asked for yet. Raises SetupError when another process listens on it."""
    while True:
        found = _free_port(setting, port)
        if port or found not in _reserved:
            _reserved.add(found)
            return found


def _free_port(setting: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SetupError(
                f"{setting}: port {port} on 127.0.0.1: {error.strerror}",
                remedy="stop the process that has this port, or choose another port; 0 takes a free one",
            ) from error
        return int(probe.getsockname()[1])
