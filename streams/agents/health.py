"""Does this worker live, and does it keep up? The record that its pages /live and /ready read.

Everything is written in the event loop once a second and read as one finished line, so that the thread of the pages never waits. The
compute thread alone says by itself what it is busy with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from faust.types import TP

from streams.agents.transport import Tail

HANG_LIMIT_S: Final = 60.0
"""An event loop that did not run for this long, or one computation of this length, is taken for dead."""


@dataclass(slots=True)
class Wait:
    """A step that waits for another system."""

    step: str
    system: str
    since: float
    error: str = ""

    def told(self, now: float) -> str:
        """Who is away, how long, and why if that is known."""
        waited = f"{now - self.since:.0f} s"
        if self.error:
            return f"{self.system} is away for {waited}: {self.error}"
        return f"{self.system} has not answered {self.step} for {waited}"


@dataclass(slots=True)
class _Progress:
    position: int
    answered_at: int
    moved_at: float
    lag: int = 0


class Health:
    """Health of one worker. `now` is in seconds and never goes back."""

    def __init__(self, stall_limit_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._limit_s, self._now = stall_limit_s, now
        self.failure = ""
        self.stopping = False
        self.taken_over = False
        self._waits: list[Wait] = []
        self._progress: dict[TP, _Progress] = {}
        self._ran_at: float | None = None
        self._computing: tuple[str, float] | None = None
        self._unready = "not started yet"

    # --- written by the worker --------------------------------------------------------------------------------------------------------

    @contextmanager
    def waiting(self, step: str, system: str) -> Iterator[Wait]:
        """While the block runs, a step waits for an answer of a system. Event loop only."""
        wait = Wait(step, system, self._now())
        self._waits.append(wait)
        try:
            yield wait
        finally:
            self._waits.remove(wait)

    @contextmanager
    def computing(self, step: str) -> Iterator[None]:
        """While the block runs, the compute thread is busy with a step that waits for nobody."""
        self._computing = (step, self._now())
        try:
            yield
        finally:
            self._computing = None

    def observe(self, positions: Mapping[TP, int | None], tails: Mapping[TP, Tail]) -> None:
        """The assigned partitions: up to which offset their results are safe (None: no agent holds it), and what is known of their end.

        A partition makes progress when its position moves, or when a fresh answer of the broker says that nothing is waiting.
        """
        now, progress = self._now(), {}
        for tp, held in positions.items():
            position, tail = -1 if held is None else held, tails.get(tp)
            known = self._progress.get(tp) or _Progress(position, -1, now)
            answered_at = known.answered_at if tail is None else tail.fetched_at
            lag = known.lag if tail is None else tail.high_watermark - position
            fine = position != known.position or (lag <= 0 and answered_at != known.answered_at)
            progress[tp] = _Progress(position, answered_at, now if fine else known.moved_at, lag)
        self._progress = progress

    def ran(self) -> None:
        """The event loop runs: say once a second how it is."""
        self._ran_at = self._now()
        self._unready = self._reason(self._ran_at)

    # --- read by the pages ------------------------------------------------------------------------------------------------------------

    def live(self) -> str:
        """Empty, or why the process should be restarted. From any thread; never blocks."""
        if self.failure:
            return f"the worker has failed: {self.failure}"
        now, ran_at, computing = self._now(), self._ran_at, self._computing
        if ran_at is not None and now - ran_at > HANG_LIMIT_S:
            return f"the event loop has not run for {now - ran_at:.0f} s"
        if computing is not None and now - computing[1] > HANG_LIMIT_S:
            return f"the compute thread has been in {computing[0]} for {now - computing[1]:.0f} s"
        return ""

    def ready(self) -> str:
        """Empty, or why results do not follow the input. From any thread; never blocks."""
        return self.live() or self._unready

    def _reason(self, now: float) -> str:
        oldest = min(self._waits, key=lambda wait: wait.since, default=None)
        cause = "" if oldest is None or now - oldest.since < 1 else oldest.told(now)
        if self.stopping:
            return "the worker stops"
        if not self.taken_over:
            return "no partitions taken over yet" + (f": {cause}" if cause else "")
        stalled = [(p.moved_at, tp, p) for tp, p in self._progress.items() if now - p.moved_at > self._limit_s]
        if stalled:
            moved_at, tp, progress = min(stalled, key=lambda found: (found[0], found[1]))
            since = datetime.fromtimestamp(time.time() - (now - moved_at), UTC).strftime("%H:%M:%SZ")
            more = f", and {len(stalled) - 1} more" if len(stalled) > 1 else ""
            place = f"{tp.topic}[{tp.partition}] stalls since {since}{more}"
            if progress.position < 0:
                behind = "assigned, but not held"
            elif progress.lag > 0:
                behind = f"{progress.lag} records behind position {progress.position}"
            else:
                behind = "the broker has not answered since"
            return f"{place}: {behind}" + (f"; {cause}" if cause else "")
        if oldest is not None and now - oldest.since > self._limit_s:
            return cause
        return ""
