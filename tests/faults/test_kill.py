"""Workers die, join and leave in the middle of 300,000 events on Apache Kafka: no result is wrong and every record is accounted for."""

from __future__ import annotations

import time

import pytest

from streams.local.process import Child
from tests.e2e.system import System
from tests.faults.publishing import published, recorded

EVENTS = 300_000
PUBLISH_S = 25.0
"""Long enough for every step of a test while traffic flows."""
pytestmark = pytest.mark.kafka


def test_kill_9_in_the_middle(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    records = recorded(7, EVENTS, "killed", system.settings.partitions)
    worker = system.start_worker("killed-1")
    system.wait(lambda: claims(system) == system.settings.partitions, "the first worker owns all partitions")
    with published(system.settings, records, PUBLISH_S):
        system.wait(lambda: system.consumed() > len(records) * 0.2, "a fifth is applied")
        kill(system, worker)
        consumed = system.consumed()
        assert consumed < len(records) * 0.6, "killed too late"

        # A member without a name is missed only when its session is over; one with a name comes back at once.
        restarted = time.monotonic()
        worker = system.start_worker("killed-2", TOKENWORTH_INSTANCE="named")
        system.wait(lambda: system.consumed() > consumed, "the next worker goes on")
        anonymous_s = time.monotonic() - restarted
        system.wait(lambda: system.consumed() > consumed + 1000, "the next worker is well under way")
        kill(system, worker)
        consumed = system.consumed()
        assert consumed < len(records), "killed too late"
        restarted = time.monotonic()
        worker = system.start_worker("killed-3", TOKENWORTH_INSTANCE="named")
        system.wait(lambda: system.consumed() > consumed, "the next worker goes on")
        named_s = time.monotonic() - restarted
    system.wait_until_applied()
    finish(
        system, worker, capsys,
        f"kill -9 twice within {len(records)} records: taken over after {anonymous_s:.1f} s, by a worker of the same name after {named_s:.1f} s",
    )  # fmt: skip


def test_a_second_worker_joins_and_leaves(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    records = recorded(8, EVENTS, "joined", system.settings.partitions)
    before, done = claims(system), system.consumed()
    first = system.start_worker("first")
    system.wait(lambda: claims(system) > before, "the first worker owns all partitions")
    with published(system.settings, records, PUBLISH_S):
        system.wait(lambda: system.consumed() > done + len(records) * 0.1, "a tenth is applied")
        joining = time.monotonic()
        second = system.start_worker("second")
        system.wait(lambda: owners(system) == 2, "both workers write")
        joined_s = time.monotonic() - joining
        at_join = system.consumed()
        system.wait(lambda: system.consumed() > at_join, "both go on")
        left_s = system.stop_worker(second)
        at_leave = system.consumed()
        assert at_leave < done + len(records), "left too late"
        leaving = time.monotonic()
        system.wait(lambda: owners(system) == 1 and system.consumed() > at_leave, "the first worker takes all back")
        back_s = time.monotonic() - leaving
    system.wait_until_applied()
    finish(
        system, first, capsys,
        f"join and leave within {len(records)} records: joined after {joined_s:.1f} s, SIGTERM took {left_s:.1f} s, "
        f"the other took its partitions back after {back_s:.1f} s",
    )  # fmt: skip


def claims(system: System) -> int:
    """Tenures of workers over partitions, so far."""
    return int(system.client.query("SELECT count() FROM claims").result_rows[0][0])


def kill(system: System, worker: Child) -> None:
    """End it as kill -9 does; its end is wanted."""
    worker.kill()
    system.stack.release(worker)


def owners(system: System) -> int:
    """Workers whose flush is the last of a partition."""
    return int(system.client.query("SELECT uniqExact(worker) FROM checkpoints FINAL").result_rows[0][0])


def finish(system: System, worker: Child, capsys: pytest.CaptureFixture[str], figures: str) -> None:
    """All windows are there, all records add up, all results are what the raw events give."""
    system.wait_until_windowed(0)
    totals = system.assert_records_add_up()
    system.stop_worker(worker)
    report = system.assert_verified()
    with capsys.disabled():
        print(
            f"\n{figures}; {totals}; verify: {report.rows} rows, {report.different} different, {report.seconds:.1f} s"
        )
