"""The store in memory and the ClickHouse engine pass one suite, and answer equally after random schedules."""

from __future__ import annotations

import random

import pytest

from streams.store.client import Client
from streams.windows.measures import DAY_US
from tests.store.conformance import Both, StoreConformance, all_versions
from tests.store.engine import EngineStore
from tests.store.memory import MemoryStore, logical
from tests.store.test_take_over import disturbed, random_log


class TestMemory(StoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestEngine(StoreConformance):
    @pytest.fixture
    def store(self, migrated: Client) -> EngineStore:
        return EngineStore(migrated)


def test_both_answer_equally_after_any_schedule(migrated: Client) -> None:
    for seed in range(1000, 1008):
        rng = random.Random(seed)
        memory, engine = MemoryStore(), EngineStore(migrated, seed)
        both = Both(memory, engine)
        disturbed(random_log(rng), both, rng, horizon_us=rng.choice((DAY_US, 10**17)), steps=30, partition=seed)
        assert logical(memory) == logical(engine)
        for name, table in (("panes", "panes"), ("actors", "pane_actors"), ("bookings", "work_items")):
            for version in all_versions(memory.rows(table)):
                both.read(f"recovery/flushed_{name}", kpart=seed, version=version)
