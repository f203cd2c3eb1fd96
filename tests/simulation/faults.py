"""What may happen to workers, one function a kind. A run draws which kinds it has, when each strikes, and whom."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final, Protocol

from tests.simulation.evictions import EVICTIONS
from tests.simulation.losses import LOSSES
from tests.simulation.worker import Worker

SESSION_S: Final = 20.0
"""Session time-out of the simulated group."""


class Stage(Protocol):
    """What faults can reach."""

    rng: random.Random

    def start_worker(self) -> None: ...
    def stop_worker(self, worker: Worker) -> None: ...
    def restore(self) -> bool: ...


Fault = Callable[[Stage, Worker], bool]
"""Does it; False when it cannot happen now."""


def crash(stage: Stage, worker: Worker) -> bool:
    """kill -9; another worker starts some time later."""
    worker.crash()
    return True


def freeze(stage: Stage, worker: Worker) -> bool:
    """SIGSTOP; most are out for longer than their session, then go on with what they were doing."""
    worker.frozen_until = asyncio.get_running_loop().time() + stage.rng.choice((2.0, SESSION_S + 10, 60.0, 200.0))
    return True


def cut_off(stage: Stage, worker: Worker) -> bool:
    """The broker cannot be reached from this worker, the store can."""
    worker.cut_off_until = asyncio.get_running_loop().time() + stage.rng.choice((2.0, SESSION_S + 10, 60.0))
    return True


def join(stage: Stage, worker: Worker) -> bool:
    """One more worker."""
    stage.start_worker()
    return True


def leave(stage: Stage, worker: Worker) -> bool:
    """SIGTERM."""
    if worker.should_stop:
        return False
    stage.stop_worker(worker)
    return True


def clock_jump(stage: Stage, worker: Worker) -> bool:
    """Somebody sets the worker's clock."""
    worker.skew_us = stage.rng.choice((-900, -70, -5, 0, 5, 70, 900)) * 1_000_000
    return True


def restore(stage: Stage, worker: Worker) -> bool:
    """The store is lost and restored from some backup; nobody runs meanwhile."""
    return stage.restore()


ANYWHERE: Final[dict[str, Fault]] = {
    "crash": crash,
    "freeze": freeze,
    "cut off from the broker": cut_off,
    "join": join,
    "leave": leave,
    "clock jump": clock_jump,
    "restore": restore,
}
"""Strike a worker at any step."""

OFTEN: Final = ("crash", "crash", "freeze", "freeze", "freeze", *ANYWHERE)
"""As often as each is drawn: what leaves a step half done, or two workers that write, has the most to show."""

SELDOM: Final = ("compute", "fetch", "ask", "answer", "join")
"""Steps that are many, and little happens between two of them: most faults pass them by."""

STEPS: Final[dict[str, tuple[str, ...]]] = {
    "insert": ("error", "lost answer", "part", "slow"),
    "read": ("error", "slow"),
    "publish": ("twice", "slow"),
    "commit": ("error", "lost answer", "slow"),
}
"""Happen to a step of a kind. error: nothing was done; lost answer: it was done; part: some rows were inserted, then an error."""

BESIDE: Final = (*LOSSES, *EVICTIONS)
"""Drawn by themselves (losses.py), or what follows from how much room there is (evictions.py)."""

KINDS: Final = (*ANYWHERE, *BESIDE, *(f"{step}: {effect}" for step, effects in STEPS.items() for effect in effects))
"""All of them, as they are counted."""
