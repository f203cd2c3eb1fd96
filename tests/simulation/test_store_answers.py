"""The simulated store against the ClickHouse engine: in whole runs, every answer that an agent is given is the same."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from tests.simulation.faults import KINDS
from tests.simulation.run import simulate
from tests.simulation.store import COLUMNS, SimulatedStore
from tests.store.conformance import hashable, rows_of
from tests.store.engine import EngineStore

MOST_SEEDS = 300
SETTINGS = ("value_rules", "price_book")
RARE = ("windows/usage_sums", "windows/outcome_sums", "windows/actors_seen")
"""Asked only for windows that begin before what is in memory; tests/store/test_windows.py compares them."""
HERE_AND_THERE = tuple(kind for kind in KINDS if kind not in {"restore", "damaged results"})
"""What happens to workers, and not behind the back of the engine."""
ASKED = set(COLUMNS) - set(RARE)
"""What must have been answered with rows in some run."""


class Compared(SimulatedStore):
    """Inserts into both, asks both."""

    def __init__(self, engine: EngineStore) -> None:
        super().__init__()
        self._engine = engine
        self.answered: set[str] = set()
        self.different: list[str] = []

    def insert(self, table: str, rows: pa.Table) -> None:
        super().insert(table, rows)
        if rows.num_rows:
            self._engine.insert(table, rows)

    def read(self, name: str, **parameters: Any) -> pl.DataFrame:
        answer = super().read(name, **parameters)
        if name not in SETTINGS:
            other = self._engine.read(name, **parameters)
            if _rows(name, answer) != _rows(name, other):
                self.different.append(f"{name} {parameters}\n  here {answer.rows()[:3]}\n  engine {other.rows()[:3]}")
            if len(answer):
                self.answered.add(name)
        return answer


def _rows(name: str, answer: pl.DataFrame) -> Counter[tuple[Any, ...]]:
    if name not in COLUMNS:
        return rows_of(name.removeprefix("recovery/"), answer)
    return Counter(hashable(row) for row in answer.select(list(COLUMNS[name])).iter_rows())


def compared(directory: Path) -> tuple[set[str], list[str]]:
    """Questions that were answered with rows, and what differs. For a process that has not loaded chDB."""
    from tests.store.in_process import InProcess  # noqa: PLC0415 - only here is the environment as chDB wants it

    client = InProcess(directory)
    tables = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    ).result_rows
    answered: set[str] = set()
    for seed in range(1, MOST_SEEDS + 1):
        store = Compared(EngineStore(client))
        outcome = simulate(seed, store=store, kinds=HERE_AND_THERE)
        answered |= store.answered
        if different := [*store.different[:3], *outcome.differences]:
            return answered, [f"seed {seed}", *different]
        if answered >= ASKED:
            break
        for (table,) in tables:
            client.command(f"TRUNCATE TABLE {table}")
    client.close()
    return answered, []


@pytest.mark.timeout(1800)
def test_every_answer_of_a_run_is_that_of_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        answered, different = pool.submit(compared, tmp_path / "engine").result()
    assert not different, "\n".join(different)
    assert ASKED - answered == set()
