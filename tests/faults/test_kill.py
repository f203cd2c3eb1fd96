"""Workers die, join and leave in the middle of 300,000 events on Apache Kafka: no result is wrong, and every record is accounted for."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from streams.local.process import Child
from tests.e2e.system import System
from tests.faults.publishing import published, recorded

EVENTS = 300_000
PUBLISH_S = 20.0
pytestmark = pytest.mark.kafka


@dataclass
class Run:
    """A run in whose middle all happened, when everything is applied."""

    system: System
    records: int
    took_s: dict[str, float]


@pytest.fixture(scope="module")
def run(system: System) -> Run:
    """300,000 events during which a worker is killed, its successor is killed, a third goes on, a fourth joins and leaves."""
    records = recorded(7, EVENTS, "acme", system.settings.partitions)
    took_s: dict[str, float] = {}
    worker = system.start_worker("killed-1")
    system.wait(lambda: claims(system) == system.settings.partitions, "the first worker owns all partitions")
    with published(system.settings, records, PUBLISH_S):
        system.wait(lambda: system.consumed() > len(records) * 0.2, "a fifth is applied")

        # A member without a name is missed only when its session is over; one with a name comes back at once.
        for name in ("killed-2", "survivor"):
            kill(system, worker)
            consumed = system.consumed()
            worker = system.start_worker(name, TOKENWORTH_INSTANCE="named")
            took_s[name] = system.wait(lambda done=consumed: system.consumed() > done, "the next worker goes on")  # type: ignore[misc]

        second = system.start_worker("second")
        took_s["joined"] = system.wait(
            lambda: owned(system, worker) == owned(system, second) == 2,
            "each worker has written half of the partitions",
        )
        took_s["left"] = system.stop_worker(second)
        took_s["taken back"] = system.wait(lambda: owned(system, worker) == 4, "one worker has written all partitions")
    system.wait_until_applied()
    system.wait_until_windowed(0)
    system.stop_worker(worker)
    return Run(system, len(records), took_s)


def test_no_result_is_wrong(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    report = run.system.assert_verified()
    with capsys.disabled():
        print(
            f"\nkill -9 twice, join and leave within {run.records} records; seconds:",
            {k: round(v, 1) for k, v in run.took_s.items()},
        )
        print(f"verify: {report.rows} rows, {report.different} different, {report.seconds:.1f} s")


def test_every_record_is_accounted_for(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    totals = run.system.assert_records_add_up()
    assert totals["consumed"] == run.records
    with capsys.disabled():
        print(f"\n{totals}")


def test_a_worker_that_is_told_to_stop_leaves_within_10_s_while_traffic_flows(run: Run) -> None:
    assert run.took_s["left"] < 10


def claims(system: System) -> int:
    """Tenures of workers over partitions, so far."""
    return int(system.client.query("SELECT count() FROM claims").result_rows[0][0])


def kill(system: System, worker: Child) -> None:
    """End it as kill -9 does; its end is wanted."""
    worker.kill()
    system.stack.release(worker)


def owned(system: System, worker: Child) -> int:
    """Partitions whose last flush was this worker's."""
    return sum(row["worker"].endswith(f":{worker.pid}") for row in system.checkpoints())
