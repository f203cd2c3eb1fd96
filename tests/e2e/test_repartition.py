"""Another partition count, on Apache Kafka: all that was stored moves, nothing else changes, and what could be lost forbids it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from streams.agents.repartition import move, plan
from streams.errors import SetupError
from streams.store.client import connect
from tests.e2e.conftest import install_sample_prices
from tests.e2e.system import System, running_system
from tests.e2e.test_pipeline import assert_equal_soon, publish
from tests.e2e.worlds import Log, recent_log
from tests.oracle.value import SAMPLE_PRICES
from tests.oracle.world import world

pytestmark = pytest.mark.kafka

OLD, NEW = 2, 5
EXIT_SETUP = 3


@pytest.fixture(scope="module")
def log() -> Log:
    return recent_log(12, seed=7)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A stack without workers and events."""
    with running_system(
        tmp_path_factory.mktemp("repartition"), "kafka", prepare=install_sample_prices, partitions=OLD
    ) as found:
        yield found


def test_records_that_are_not_stored_and_workers_that_run_forbid_it(system: System, log: Log) -> None:
    with pytest.raises(SetupError, match=f"has {OLD} partitions already"):
        plan(system.settings, OLD)
    publish(system, log.usage, log.items)
    with pytest.raises(SetupError, match=r"stored are the records up to 0") as refused:
        plan(system.settings, NEW)
    assert "publishers" in refused.value.remedy
    worker = system.start_worker("worker")
    system.wait_until_windowed(0)
    with pytest.raises(SetupError, match="has 1 members"):
        plan(system.settings, NEW)
    system.stop_worker(worker)


def test_a_move_that_ended_before_it_deleted_anything_looks_again_for_records_that_are_not_stored(
    system: System, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr("streams.agents.repartition.delete_topics", interrupt)
        with pytest.raises(Interrupted):
            move(plan(system.settings, NEW))
    publish(system, log.usage[:5], [])
    with pytest.raises(SetupError, match="stored are the records up to"):
        plan(system.settings, NEW)
    worker = system.start_worker("worker-between")
    system.wait_until_windowed(0)
    system.stop_worker(worker)
    assert plan(system.settings, NEW).resumed


def test_all_events_move_even_when_it_is_interrupted(system: System, log: Log) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(count: int) -> None:
        raise Interrupted

    chosen = plan(system.settings, NEW)
    assert chosen.rows == system.assert_records_add_up()["applied"]
    with pytest.raises(Interrupted):
        move(chosen, interrupt)

    environment = os.environ | {
        "TOKENWORTH_CLICKHOUSE": system.settings.clickhouse, "TOKENWORTH_KAFKA": system.settings.kafka,
    }  # fmt: skip
    again = subprocess.run(
        [sys.executable, "-m", "streams.cli", "rebuild", "--repartition", str(NEW), "--json"],
        env=environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "going on with the move" in again.stderr
    told = json.loads(again.stdout)
    assert told["events"] == chosen.rows

    with closing(connect(chosen.new.clickhouse)) as client:
        moved = System(system.stack, chosen.new, client)
        worker = moved.start_worker(
            "worker-moved", TOKENWORTH_CLICKHOUSE=chosen.new.clickhouse, TOKENWORTH_PARTITIONS=str(NEW)
        )
        moved.wait_until_windowed(0)
        # Publishers go on, and send again what they are not sure of.
        publish(moved, log.usage[:50], log.items[:50])
        moved.wait_until_windowed(0)
        assert_equal_soon(moved, world(log.usage, log.items, SAMPLE_PRICES))
        moved.stop_worker(worker)
        totals = moved.assert_records_add_up()
        assert totals["applied"] == chosen.rows
        assert totals["dead"] == 0
        assert len(moved.checkpoints()) == NEW
        moved.assert_verified()


def test_a_worker_on_the_old_database_says_what_is_wrong(system: System) -> None:
    worker = system.start_worker("worker-old")
    assert worker.join(60) == EXIT_SETUP
    assert "partitions in ClickHouse" in worker.log_tail()
    system.stack.release(worker)
