"""One supervised process."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from streams.errors import TokenworthError
from streams.local.process import Child

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def child(tmp_path: Path, program: str) -> Child:
    return Child("worker", [sys.executable, "-c", program], tmp_path / "worker.log")


def test_what_does_not_hear_is_killed(tmp_path: Path) -> None:
    deaf = child(tmp_path, DEAF)
    deaf.wait_until(lambda: "deaf" in deaf.log_tail())
    deaf.stop(grace_s=0.3)
    assert deaf.exit_code == -9
    assert not psutil.pid_exists(deaf.pid)


def test_grandchildren_end_too(tmp_path: Path) -> None:
    nested = child(
        tmp_path,
        f"import subprocess, sys; inner = subprocess.Popen([sys.executable, '-c', {DEAF!r}]); print(inner.pid, flush=True); inner.wait()",
    )
    nested.wait_until(lambda: len(nested.log_tail().splitlines()) == 2)
    inner = int(nested.log_tail().split()[0])
    nested.kill()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(inner) and psutil.Process(inner).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_waiting_ends_with_the_process_or_the_time(tmp_path: Path) -> None:
    with pytest.raises(TokenworthError, match=r"worker ended with exit code 3\nsorry"):
        child(tmp_path, "print('sorry'); raise SystemExit(3)").wait_until(lambda: False)
    slow = child(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(TokenworthError, match=r"worker does not answer after 0\.2 s"):
        slow.wait_until(lambda: False, timeout_s=0.2)
    slow.kill()


def test_a_restart_runs_the_same_command_and_keeps_the_log(tmp_path: Path) -> None:
    once = child(tmp_path, "print('hello')")
    assert once.join(10) == 0
    once.restart()
    assert once.join(10) == 0
    assert once.log_tail() == "hello\nhello"


def test_only_the_last_lines_are_shown(tmp_path: Path) -> None:
    chatty = child(tmp_path, "for number in range(5000): print('line', number)")
    assert chatty.join(10) == 0
    assert chatty.log_tail().splitlines() == [f"line {number}" for number in range(4985, 5000)]
