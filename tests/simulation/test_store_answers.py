"""The simulated store against the ClickHouse engine: in whole runs, every answer that an agent is given is the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl
import pyarrow as pa

from streams.store.client import Client
from tests.simulation.faults import KINDS
from tests.simulation.run import simulate
from tests.simulation.store import COLUMNS, SimulatedStore
from tests.store.conformance import hashable, rows_of
from tests.store.engine import EngineStore

ENOUGH = 3
"""Runs that must have asked each question and been answered with rows."""
SETTINGS = ("value_rules", "price_book")
RARE = ("windows/usage_sums", "windows/outcome_sums", "windows/actors_seen")
"""Asked only for windows that begin before what is in memory; tests/store/test_windows.py compares them."""
UNRESTORED = tuple(kind for kind in KINDS if kind != "restore")


class Compared(SimulatedStore):
    """Inserts into both, asks both."""

    def __init__(self, engine: EngineStore) -> None:
        super().__init__()
        self._engine = engine
        self.answered: Counter[str] = Counter()
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
            self.answered[name] += not answer.is_empty()
        return answer


def _rows(name: str, answer: pl.DataFrame) -> Counter[tuple[Any, ...]]:
    if name not in COLUMNS:
        return rows_of(name.removeprefix("recovery/"), answer)
    return Counter(hashable(row) for row in answer.select(list(COLUMNS[name])).iter_rows())


def test_every_answer_of_a_run_is_that_of_the_engine(migrated: Client) -> None:
    tables = [
        row[0]
        for row in migrated.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
        ).result_rows
    ]
    answered: Counter[str] = Counter()
    seed = 0
    while any(answered[name] < ENOUGH for name in COLUMNS if name not in RARE):
        seed += 1
        store = Compared(EngineStore(migrated))
        outcome = simulate(seed, store=store, kinds=UNRESTORED)
        assert not store.different, "\n".join(store.different[:3])
        assert not outcome.differences, outcome
        answered += Counter(store.answered.keys())
        for table in tables:
            migrated.command(f"TRUNCATE TABLE {table}")
        assert seed < 200, answered
