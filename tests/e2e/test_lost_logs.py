"""Rebuilds, recreated topics, lost positions and deleted records, on Apache Kafka: results are what the accepted events give, or the worker says why not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from streams.agents.topics import create_topics, end_offsets
from streams.config import INPUT_TOPICS, ITEMS_TOPIC, USAGE_TOPIC
from streams.join.input import OFFSET_BITS
from streams.store.reading import ClickHouseStored
from streams.store.rebuilds import pending
from streams.store.verify import verify
from tests.e2e.conftest import install_sample_prices
from tests.e2e.system import System, running_system
from tests.e2e.test_pipeline import publish
from tests.e2e.worlds import Log, recent_log

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def log() -> Log:
    return recent_log(12, seed=5)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, log: Log) -> Iterator[System]:
    """All of a log applied and windowed by a worker that has stopped."""
    path = tmp_path_factory.mktemp("lost-logs")
    with running_system(path, "kafka", prepare=install_sample_prices, partitions=2) as found:
        publish(found, log.usage, log.items)
        finish(found)
        yield found


def finish(system: System, incarnation: int = 0, **env: str) -> None:
    """A worker applies, rebuilds and windows all that is there, then stops."""
    worker = system.start_worker("worker", **env)
    system.wait_until_applied(incarnation=incarnation)
    stored = ClickHouseStored(system.client)
    system.wait(lambda: not pending(stored, range(system.settings.partitions)), "no rebuild is left")
    system.wait_until_windowed(0, incarnation=incarnation)
    system.stop_worker(worker)


def rebuild(system: System) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "TOKENWORTH_CLICKHOUSE": system.settings.clickhouse, "TOKENWORTH_KAFKA": system.settings.kafka,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "rebuild", "--json"],
        env=environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def different(system: System) -> dict[str, int]:
    report = verify(system.client, allowed_lateness_s=system.settings.allowed_lateness_s)
    return {table.table: table.different for table in report.tables if table.different}


def test_a_rebuild_mends_results_that_are_wrong_missing_or_invented(system: System) -> None:
    command = system.client.command
    command(
        "INSERT INTO work_item_usage SELECT * REPLACE (requests + 5 AS requests) FROM work_item_usage FINAL LIMIT 3"
    )
    command("INSERT INTO work_item_usage SELECT * REPLACE ('invented' AS model) FROM work_item_usage FINAL LIMIT 2")
    command(
        "INSERT INTO work_items SELECT * REPLACE ('invented' AS work_item_id) FROM work_items FINAL WHERE notEmpty(bookings) LIMIT 1"
    )
    command(
        "INSERT INTO work_items SELECT * REPLACE ('nobody' AS work_item_id, [] AS bookings) FROM work_items FINAL WHERE notEmpty(history) LIMIT 1"
    )
    command(
        "DELETE FROM work_items WHERE work_item_id IN (SELECT work_item_id FROM work_items FINAL WHERE notEmpty(bookings) AND work_item_id NOT IN ('invented', 'nobody') ORDER BY work_item_id LIMIT 2)"
    )
    command("DELETE FROM panes WHERE pane_start IN (SELECT pane_start FROM panes FINAL ORDER BY pane_start LIMIT 3)")
    command(
        "INSERT INTO panes SELECT * REPLACE (tokens * 2 AS tokens) FROM panes FINAL ORDER BY pane_start DESC LIMIT 2"
    )
    assert {"work_item_usage", "work_items", "panes"} <= different(system).keys()
    worker = system.start_worker("worker")
    done = rebuild(system)
    assert done.returncode == 0, done.stderr
    system.wait(lambda: not different(system), "everything is mended, windows too")
    system.stop_worker(worker)
    system.assert_records_add_up()


def test_a_recreated_topic_begins_a_new_incarnation(system: System, log: Log) -> None:
    before = applied(system)
    recreate(system, (USAGE_TOPIC,))
    publish(system, log.usage[: len(log.usage) // 2], [])  # half of it again, and some that is new
    publish(system, [event | {"event_id": f"new-{event['event_id']}"} for event in log.usage[-20:]], [])
    finish(system, incarnation=1)
    assert different(system) == {}
    system.assert_records_add_up()
    assert [row["incarnation"] for row in system.checkpoints()] == [1, 1]
    assert all(row["usage_begin"] == 1 << OFFSET_BITS for row in system.checkpoints())
    assert applied(system) == before | {
        USAGE_TOPIC: before[USAGE_TOPIC] + len({(e["tenant"], e["event_id"]) for e in log.usage[-20:]})
    }


def test_lost_positions_of_the_group_are_read_again_as_duplicates(system: System) -> None:
    before, client = applied(system), KafkaAdminClient(bootstrap_servers=system.settings.kafka)
    client.delete_groups([system.settings.group])
    client.close()
    finish(system, incarnation=2)
    assert different(system) == {}
    totals = system.assert_records_add_up()
    assert totals["applied"] == 0
    assert totals["duplicates"] == totals["consumed"] == sum(end_offsets(system.settings).values())
    assert applied(system) == before


def test_deleted_records_stop_the_worker_until_their_loss_is_accepted(system: System, log: Log) -> None:
    lost = [event | {"event_id": f"lost-{event['event_id']}"} for event in log.usage]
    publish(system, lost, [])
    ends = end_offsets(system.settings)
    client = KafkaAdminClient(bootstrap_servers=system.settings.kafka)
    client.delete_records({TopicPartition(*place): end for place, end in ends.items() if place[0] == USAGE_TOPIC})
    client.close()
    worker = system.start_worker("worker")
    assert worker.join(60) == 1
    assert "records after the position" in worker.log_tail()
    system.stack.release(worker)
    publish(system, [event | {"event_id": f"kept-{event['event_id']}"} for event in log.usage], [])
    finish(system, incarnation=2, TOKENWORTH_ACCEPT_LOSS="true")
    assert different(system) == {}
    assert system.assert_records_add_up()["missing"] == len(lost)


def test_another_partition_count_stops_the_worker(system: System) -> None:
    recreate(system, INPUT_TOPICS, partitions=5)
    worker = system.start_worker("worker")
    assert worker.join(60) == 3
    assert "partition" in worker.log_tail()
    system.stack.release(worker)


def applied(system: System) -> dict[str, int]:
    rows = {USAGE_TOPIC: "usage_events", ITEMS_TOPIC: "work_item_events"}
    return {
        topic: int(system.client.command(f"SELECT uniqExact(tenant, event_id) FROM {table} FINAL"))
        for topic, table in rows.items()
    }


def recreate(system: System, topics: tuple[str, ...], partitions: int | None = None) -> None:
    client = KafkaAdminClient(bootstrap_servers=system.settings.kafka)
    client.delete_topics(list(topics))
    deadline = time.monotonic() + 30
    while any(not found["error_code"] for found in client.describe_topics(list(topics))):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    if partitions is None:
        create_topics(system.settings)
    else:
        client.create_topics(
            {t: {"num_partitions": partitions, "replication_factor": 1} for t in topics}, wait_for_metadata=True
        )
    client.close()
