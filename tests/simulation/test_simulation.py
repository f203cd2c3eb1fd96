"""Whatever happens to workers, broker and store, the results are those of the events alone."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.faults import KINDS
from tests.simulation.processes import replay, simulated
from tests.simulation.run import simulate

SEEDS = 2000
PROCESSES = 2


@pytest.mark.timeout(1800)
def test_results_are_exact_whatever_happens() -> None:
    different, faults = [], Counter[str]()
    for outcome in simulated(range(1, SEEDS + 1), PROCESSES):
        faults += outcome.faults
        if outcome.differences:
            different.append("\n".join(replay(outcome)))
    assert not different, "\n".join([f"{len(different)} of {SEEDS} seeds differ", *different[:5]])
    assert all(faults[kind] > 10 for kind in KINDS), faults


def test_a_seed_replays() -> None:
    def told(seed: int) -> list[str]:
        steps: list[str] = []
        simulate(seed, steps.append)
        return steps

    for seed in (1, 5):
        assert told(seed) == told(seed)
        assert len(told(seed)) > 100
