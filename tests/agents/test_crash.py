"""Whatever part of a worker fails, the process ends: with a code other than 0, one clear line, and nobody left half alive."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.agents.faulty import BROKEN
from tests.agents.test_stop import send
from tests.agents.watched import PATIENCE_S, Watched, worker
from tests.e2e.system import System

FAULTS = (
    "take_over_raises",
    "process_raises",
    "run_raises",
    "compute_panics",
    "fetch_raises",
    "consumer_thread_dies",
)


def reasons(found: Watched) -> list[str]:
    """What its critical log lines say."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in found.log().splitlines() if line.startswith("{")]
    return [line["error"] for line in lines if line["level"] == "critical"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_part_that_fails_ends_the_process(system: System, fault: str) -> None:
    with worker(system, fault, fault=fault) as found:
        assert found.child.join(PATIENCE_S) == 1, found.child.log_tail()
        (reason,) = reasons(found)
        assert BROKEN in reason
        assert found.log().count(f"error  tokenworth failed: RuntimeError: {reason}\n") == 1


def test_a_store_that_refuses_for_good_ends_the_process(system: System) -> None:
    """Such as a table that somebody has dropped: nothing is retried for ever, nothing is lost."""
    with worker(system, "refused") as found:
        found.wait_until_ready()
        system.client.command("RENAME TABLE work_items TO away")
        try:
            send(system, 100)
            assert found.child.join(PATIENCE_S) == 1, found.child.log_tail()
        finally:
            system.client.command("RENAME TABLE away TO work_items")
        (reason,) = reasons(found)
        assert "Code: 60" in reason
        assert "work_items" in reason
    with worker(system, "allowed") as found:
        found.wait_until_ready()
        system.wait_until_applied()
        found.stop()
    system.assert_records_add_up()


def test_a_failure_while_partitions_are_given_up(system: System) -> None:
    """During a rebalance it ends the process; of one that was told to stop it is only logged."""
    with worker(system, "unwilling", fault="release_raises") as unwilling:
        unwilling.wait_until_ready()
        assert unwilling.stop() < 10
        assert "given up while stopping" in unwilling.log()
    with worker(system, "unwilling-2", fault="release_raises") as unwilling:
        unwilling.wait_until_ready()
        with worker(system, "joining") as joining:
            assert unwilling.child.join(PATIENCE_S) == 1, unwilling.child.log_tail()
            assert reasons(unwilling) == [BROKEN]
            joining.wait_until_ready()
            joining.stop()


def test_a_hanging_event_loop_is_not_alive(system: System) -> None:
    with worker(system, "loop", fault="event_loop_hangs") as found:
        _wait_until_dead(found, "the event loop has not run for")


def test_a_hanging_computation_is_not_alive(system: System) -> None:
    with worker(system, "compute", fault="compute_thread_hangs") as found:
        _wait_until_dead(found, "the compute thread has been in cut for")
        assert found.stop() < 10


def _wait_until_dead(found: Watched, text: str) -> None:
    began = time.monotonic()
    while (page := found.page("live"))[0] != 503:
        assert time.monotonic() - began < PATIENCE_S, page
        time.sleep(0.2)
    assert text in page[1]
    assert found.page("ready")[0] == 503
