"""The pages say the truth: of the record that is behind them, and of a real worker whose neighbours are away."""

from __future__ import annotations

import time

import pytest
from faust.types import TP

from streams.agents.health import HANG_LIMIT_S, Health
from streams.agents.transport import Tail
from tests.agents.test_stop import send
from tests.agents.watched import dead, hanging, worker
from tests.e2e.system import System

USAGE = TP("usage-events", 2)
ITEMS = TP("work-item-events", 2)


class Clock:
    """Seconds that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    """Of a worker that has taken over, with a limit of 60 s."""
    found = Health(60.0, clock)
    found.taken_over = True
    found.ran()
    return found


def pass_time(
    clock: Clock, health: Health, seconds: int, position: int | None, tail: Tail | None, moving: int = 0
) -> str:
    """Observe once a second, the tail being told anew each time if it is known; returns what /ready says at the end."""
    for second in range(seconds):
        clock.now += 1
        fresh = {} if tail is None else {USAGE: tail._replace(fetched_at=int(clock.now * 1e6))}
        health.observe({USAGE: position if position is None else position + moving * second}, fresh)
        health.ran()
    return health.ready()


def test_before_anything_is_taken_over_a_worker_is_alive_and_not_ready() -> None:
    health = Health(60.0, Clock())
    assert health.live() == ""
    assert health.ready() == "not started yet"
    health.ran()
    assert health.ready() == "no partitions taken over yet"


def test_a_worker_without_partitions_is_ready(health: Health) -> None:
    assert health.ready() == ""


def test_at_the_end_of_its_input_a_partition_waits_for_ever(clock: Clock, health: Health) -> None:
    assert pass_time(clock, health, 1000, 70, Tail(70, 70, 0)) == ""


def test_a_partition_that_moves_is_not_stalled_however_far_behind(clock: Clock, health: Health) -> None:
    assert pass_time(clock, health, 1000, 0, Tail(0, 10**9, 0), moving=1) == ""


def test_a_partition_whose_position_does_not_move_although_records_wait(clock: Clock, health: Health) -> None:
    assert pass_time(clock, health, 61, 70, Tail(70, 90, 0)) == ""
    said = pass_time(clock, health, 1, 70, Tail(70, 90, 0))
    assert said.startswith("usage-events[2] stalls since ")
    assert said.endswith("Z: 20 records behind position 70")
    assert health.live() == ""
    assert pass_time(clock, health, 1, 71, Tail(71, 90, 0)) == ""


def test_a_partition_of_which_the_broker_says_nothing(clock: Clock, health: Health) -> None:
    """An old answer that nothing was waiting is no answer."""
    pass_time(clock, health, 5, 70, Tail(70, 70, 0))
    assert pass_time(clock, health, 62, 70, None).endswith("Z: the broker has not answered since")


def test_a_partition_that_no_agent_holds(clock: Clock, health: Health) -> None:
    """Its commit was refused, and the rebalance that would explain it does not come."""
    assert pass_time(clock, health, 62, None, Tail(70, 70, 0)).endswith("Z: assigned, but not held")


def test_a_partition_that_has_left_is_forgotten(clock: Clock, health: Health) -> None:
    pass_time(clock, health, 70, 70, Tail(70, 90, 0))
    health.observe({ITEMS: 5}, {})
    health.ran()
    assert health.ready() == ""


def test_several_stalled_partitions_make_one_line(clock: Clock, health: Health) -> None:
    for _ in range(62):
        health.observe({USAGE: 1, ITEMS: 2}, {USAGE: Tail(1, 5, 0), ITEMS: Tail(2, 5, 0)})
        clock.now += 1
    health.ran()
    assert ", and 1 more: 4 records behind position 1" in health.ready()
    assert "\n" not in health.ready()


def test_the_cause_is_named_if_it_is_known(clock: Clock, health: Health) -> None:
    with health.waiting("write", "ClickHouse") as wait:
        clock.now += 30
        said = pass_time(clock, health, 62, 70, Tail(70, 90, 0))
        assert said.endswith("20 records behind position 70; ClickHouse has not answered write for 92 s")
        wait.error = "Code: 241. Memory limit exceeded"
        said = pass_time(clock, health, 1, 70, Tail(70, 90, 0))
        assert said.endswith("; ClickHouse is away for 93 s: Code: 241. Memory limit exceeded")
    assert "ClickHouse" not in pass_time(clock, health, 1, 70, Tail(70, 90, 0))


def test_a_store_that_is_away_for_longer_than_the_limit_without_any_lag(clock: Clock, health: Health) -> None:
    with health.waiting("write", "ClickHouse"):
        assert pass_time(clock, health, 60, 70, Tail(70, 70, 0)) == ""
        assert pass_time(clock, health, 1, 70, Tail(70, 70, 0)) == "ClickHouse has not answered write for 61 s"
    assert pass_time(clock, health, 1, 70, Tail(70, 70, 0)) == ""


def test_a_loop_or_a_computation_that_hangs_is_not_alive(clock: Clock, health: Health) -> None:
    with health.computing("cut"):
        clock.now += HANG_LIMIT_S
        health.ran()
        assert health.live() == ""
        clock.now += 1
        health.ran()
        assert health.live() == "the compute thread has been in cut for 61 s"
    assert health.live() == ""
    clock.now += HANG_LIMIT_S + 1
    assert health.live() == health.ready() == "the event loop has not run for 61 s"


def test_a_failure_is_neither_alive_nor_ready(health: Health) -> None:
    health.failure = "Code: 60"
    assert health.live() == health.ready() == "the worker has failed: Code: 60"


def test_a_worker_that_stops_is_alive_and_not_ready(health: Health) -> None:
    health.stopping = True
    health.ran()
    assert health.live() == ""
    assert health.ready() == "the worker stops"


def test_a_real_worker_tells_who_is_away(system: System) -> None:
    """Its limit is 3 s. Each time it gets well again by itself."""
    with worker(system, "watched") as found:
        found.wait_until_ready()
        with hanging(system.stack.child("clickhouse")):
            began = time.monotonic()
            send(system, 2_000)
            found.wait_for(503, "ClickHouse has not answered")
            assert time.monotonic() - began > 2
            assert found.page("live") == (200, "ok")
        found.wait_until_ready()
        with dead(system, system.stack.child("clickhouse")):
            send(system, 2_000)
            _, said = found.wait_for(503, "ClickHouse is away for")
            assert "\n" not in said
            assert found.page("live") == (200, "ok")
        found.wait_until_ready()
        with hanging(system.stack.child("tansu")):
            _, said = found.wait_for(503, "stalls since")
            assert found.page("live") == (200, "ok")
        found.wait_until_ready()
        found.stop()
