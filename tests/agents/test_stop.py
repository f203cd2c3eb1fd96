"""A worker that is told to stop leaves within 10 s with exit code 0, whatever its neighbours do."""

from __future__ import annotations

import os
import signal
import time
from itertools import cycle, islice

import pytest

from streams.publish.bulk import publish_records
from tests.agents.publishing import published, recorded
from tests.agents.watched import dead, hanging, worker
from tests.e2e.system import System


def send(system: System, count: int) -> None:
    """Publish events, so that there is something to flush."""
    records = recorded(3, 5_000, "acme", system.settings.partitions)
    publish_records(system.settings, islice(cycle(records), count))


def test_idle(system: System) -> None:
    with worker(system, "idle") as found:
        found.wait_until_ready()
        assert found.stop() < 10
        assert "abandoned" not in found.log()


def test_in_full_traffic_the_flush_in_flight_is_drained(system: System) -> None:
    records = recorded(5, 60_000, "acme", system.settings.partitions)
    with worker(system, "traffic") as found:
        found.wait_until_ready()
        before = system.consumed()
        with published(system.settings, records, 5.0):
            system.wait(lambda: system.consumed() > before + 5_000, "the worker is busy")
            assert found.stop() < 10
        assert "abandoned" not in found.log()
    mirrored = {
        (row["kpart"], side): row[f"{side}_next"] for row in system.checkpoints() for side in ("usage", "items")
    }
    with worker(system, "next") as found:
        found.wait_until_ready()
        assert "ClickHouse is behind" not in found.log(), mirrored
        system.wait_until_applied()
        found.stop()
    system.assert_records_add_up()


def test_while_clickhouse_hangs(system: System) -> None:
    with worker(system, "hanging") as found:
        found.wait_until_ready()
        with hanging(system.stack.child("clickhouse")):
            send(system, 3_000)
            time.sleep(3)
            assert found.stop() < 10
    with worker(system, "after-hanging") as found:
        found.wait_until_ready()
        system.wait_until_applied()
        found.stop()
    system.assert_records_add_up()


def test_while_clickhouse_refuses_connections(system: System) -> None:
    with worker(system, "refusing") as found:
        found.wait_until_ready()
        with dead(system, system.stack.child("clickhouse")):
            send(system, 3_000)
            time.sleep(3)
            assert found.stop() < 10


def test_in_the_middle_of_a_take_over_that_waits_for_the_store(system: System) -> None:
    with worker(system, "taking", fault="clickhouse_hangs_at_take_over") as found:
        found.wait_for(503, "no partitions taken over yet: ClickHouse has not answered")
        try:
            assert found.stop() < 10
        finally:
            os.kill(system.stack.child("clickhouse").pid, signal.SIGCONT)
    assert "taken over" not in found.log()


def test_a_second_signal_ends_at_once(system: System) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with worker(system, f"twice-{number}") as found:
            found.wait_until_ready()
            with hanging(system.stack.child("clickhouse")):
                send(system, 1_000)
                time.sleep(2)
                found.child.terminate()
                time.sleep(0.7)
                began = time.monotonic()
                assert found.child.exit_code is None
                found.child._signal(number)
                assert found.ended(began, 128 + number) < 1


def test_while_it_starts(system: System) -> None:
    with worker(system, "starting") as found:
        system.wait(lambda: found.page("live")[0] == 200, "the pages are there")
        assert found.stop() < 10


@pytest.mark.parametrize("how", ["hangs", "is away"])
def test_while_kafka(system: System, how: str) -> None:
    tansu = system.stack.child("tansu")
    with worker(system, f"kafka-{how.replace(' ', '-')}") as found:
        found.wait_until_ready()
        if how == "hangs":
            with hanging(tansu):
                time.sleep(4)
                assert found.stop() < 10
        else:  # the last test: Tansu forgets its topics
            with dead(system, tansu):
                time.sleep(4)
                assert found.stop() < 10
