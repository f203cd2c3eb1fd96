"""Runs one system and reads wall time, CPU time and memory of its process tree whenever it says how far it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

import streams.local.launch
from benchmarks.figures import Figures, Refused, Sample, figures, read_line

_LAUNCH: Final = str(streams.local.launch.__file__)
_TAIL_LINES: Final = 5


class Tree:
    """A process and what it started. Counts that ended processes left stay counted."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def cpu_s(self) -> float:
        """User and system seconds up to now."""
        return sum(sum(process.cpu_times()[:4]) for process in self._alive())

    def peak_rss_bytes(self) -> int:
        """The sum of each process's own peak."""
        return sum(_high_water_mark(process) for process in self._alive())

    def _alive(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _high_water_mark(process: psutil.Process) -> int:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
    except OSError:
        try:
            return int(process.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0


def run(
    argv: Sequence[str],
    records: int,
    log: Path,
    progress: Callable[[int], None],
    *,
    directory: Path,
    timeout_s: float = 240.0,
) -> tuple[Figures, dict[str, int]]:
    """Start `argv` in `directory` and wait for its result: what it took, and what it said.

    It ends with this process. Raises Refused when it ends without a result or is not done after `timeout_s`.
    """
    launch = [sys.executable, "-I", "-S", _LAUNCH, str(os.getpid()), str(int(signal.SIGKILL)), *argv]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            launch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=directory,
            start_new_session=True,
        )
    kill = threading.Timer(timeout_s, _kill, (process,))
    kill.start()
    try:
        return _watch(process, records, progress, log)
    finally:
        kill.cancel()
        _kill(process)
        process.wait()


def _watch(
    process: subprocess.Popen[str], records: int, progress: Callable[[int], None], log: Path
) -> tuple[Figures, dict[str, int]]:
    tree, samples, rss_bytes = Tree(process.pid), list[Sample](), 0
    assert process.stdout is not None
    for line in process.stdout:
        said = read_line(line)
        if said is None:
            continue
        if len(said) > 1 or (samples and samples[-1].records >= records):
            return figures(samples, max(rss_bytes, tree.peak_rss_bytes())), said
        samples.append(Sample(said["records"], time.monotonic(), tree.cpu_s()))
        rss_bytes = max(rss_bytes, tree.peak_rss_bytes())
        progress(said["records"])
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    raise Refused(
        f"it ended after {samples[-1].records if samples else 0:,} records without a result: {' | '.join(last)}"
    )


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
