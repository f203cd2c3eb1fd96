"""Seeds spread over processes."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.run import Outcome

SEEDS_AT_A_TIME = 10
SAME_EVERYWHERE = {"PYTHONHASHSEED": "0", "POLARS_MAX_THREADS": "1"}
"""The environment of a process that simulates: sets iterate in one order, and frames of a few rows need no threads."""


def simulated(seeds: range, processes: int, *, trace: bool = False) -> Iterator[Outcome]:
    """The outcome of each seed, in the order in which they are done. `trace`: print every step as it happens."""
    before = {name: os.environ.get(name) for name in SAME_EVERYWHERE}
    os.environ.update(SAME_EVERYWHERE)
    try:
        with ProcessPoolExecutor(min(processes, len(seeds)), mp_context=get_context("spawn")) as pool:
            parts = [seeds[i : i + SEEDS_AT_A_TIME] for i in range(0, len(seeds), SEEDS_AT_A_TIME)]
            for done in as_completed([pool.submit(_simulated, part, trace) for part in parts]):
                yield from done.result()
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({name: value} if value is not None else {})


def replay(outcome: Outcome) -> list[str]:
    """What differs in a run, and how to see it again."""
    faults = ", ".join(f"{name} {count}" for name, count in sorted(outcome.faults.items())) or "no faults"
    return [
        f"seed {outcome.seed} ({faults}):",
        *(f"  {line}" for difference in outcome.differences for line in difference.splitlines()),
        f'  again, step by step: make simulate ARGS="--first {outcome.seed} --seeds 1 --trace"',
    ]


def _simulated(seeds: range, trace: bool) -> list[Outcome]:
    from tests.simulation.run import simulate  # noqa: PLC0415 - only here is the environment as Polars wants it

    gc.freeze()
    gc.set_threshold(20_000)  # frames are no garbage of cycles
    return [simulate(seed, print if trace else None) for seed in seeds]
