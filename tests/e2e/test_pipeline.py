"""From publishers to windows: what the system stores equals the naive oracle, with late and repeated events."""

from __future__ import annotations

import time
from typing import Any

from streams.publish.publishers import UsagePublisher, WorkItemPublisher
from tests.e2e.results import Expected, differences, stored, watermark_us
from tests.e2e.system import System
from tests.e2e.worlds import recent_log, usage_events, work_item_events
from tests.oracle.value import SAMPLE_PRICES
from tests.oracle.world import Results, world

WORLDS = 20


def test_results_equal_the_oracle(system: System) -> None:
    log = recent_log(WORLDS, seed=1)
    first_usage, first_items = log.usage[: len(log.usage) // 2], log.items[: len(log.items) // 2]
    publish(system, first_usage, first_items)
    worker = system.start_worker("worker", TOKENWORTH_FLUSH_INTERVAL_S="4")
    system.wait_until_windowed(max(event["occurred_at"] for event in (*first_usage, *first_items)))

    # What comes now is late: the windows of the first half are final.
    publish(system, log.usage[len(first_usage) :], log.items[len(first_items) :])
    system.wait_until_windowed(0)
    assert_equal_soon(system, world(log.usage, log.items, SAMPLE_PRICES))
    system.stop_worker(worker)

    totals = system.assert_records_add_up()
    published = len(log.usage) + len(log.items)
    distinct = len({(e["tenant"], e["event_id"]) for e in log.usage}) + len(
        {(e["tenant"], e["event_id"]) for e in log.items}
    )
    assert totals == {
        "consumed": published, "applied": distinct, "duplicates": published - distinct, "dead": 0, "missing": 0,
    }  # fmt: skip
    system.assert_verified()


def publish(system: System, usage: list[dict[str, Any]], items: list[dict[str, Any]]) -> None:
    with UsagePublisher(system.settings) as publisher:
        assert publisher.publish_many(usage_events(usage)) == len(usage)
    with WorkItemPublisher(system.settings) as publisher_of_items:
        assert publisher_of_items.publish_many(work_item_events(items)) == len(items)


def assert_equal_soon(system: System, results: Results, timeout_s: float = 100.0) -> None:
    """Windows that were final are written again once a minute at most: until then some may differ."""
    lateness_us = system.settings.allowed_lateness_s * 1_000_000
    wanted = Expected(results, lateness_us)
    deadline = time.monotonic() + timeout_s
    while True:
        watermark = watermark_us(system.client)
        found = stored(system.client, watermark, lateness_us)
        different = differences(found, wanted.at(watermark))
        if not different or time.monotonic() > deadline:
            break
        system.stack.check()
        time.sleep(1)
    assert not different, "\n".join(different)
    assert all(found.values()), {kind: len(rows) for kind, rows in found.items()}
