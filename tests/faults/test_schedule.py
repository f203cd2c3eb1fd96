"""Every kind of fault within 300,000 events on Apache Kafka: nothing lost, nothing twice, every result as the raw events give it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.config import INPUT_TOPICS
from tests.faults.kinds import KINDS
from tests.faults.report import report
from tests.faults.run import Options, Outcome, run
from tests.faults.schedule import draw
from tests.faults.traffic import Ids, Months, event_id

SHORT = Options(seed=4, minutes=1.6, faults=len(KINDS) + 1, events=300_000)


@contextmanager
def log_of_failure(lines: list[str]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        print("\n".join(lines[-60:]))
        raise


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run in which every kind of fault happens once, and kill -9 of a worker twice."""
    said: list[str] = []
    with log_of_failure(said):
        found = run(SHORT, tmp_path_factory.mktemp("faults"), said.append)
    if found.problems or found.missed:
        print("\n".join(said))
    return found


@pytest.mark.kafka
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_twice_or_wrong(short: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{report(short)}")
    assert short.problems == []
    assert short.verified is not None
    assert short.verified.ok
    assert all(table.rows for table in short.verified.tables)


@pytest.mark.kafka
def test_every_kind_of_fault_has_struck(short: Outcome) -> None:
    assert short.missed == Counter()
    assert len(short.faults) == len(KINDS)
    assert short.faults["worker kill -9"] == 2


@pytest.mark.kafka
def test_a_worker_that_is_told_to_stop_leaves_within_10_s_while_traffic_flows(short: Outcome) -> None:
    assert len(short.stops) >= 3
    assert max(stop.seconds for stop in short.stops) < 10
    assert {stop.code for stop in short.stops} == {0}


@pytest.mark.kafka
def test_more_than_the_events_asked_for_were_counted_outside(short: Outcome) -> None:
    produced = {topic: short.distinct[topic][0] for topic in INPUT_TOPICS}
    assert produced["usage-events"] > SHORT.events
    assert produced["work-item-events"] > 1000
    assert short.totals["applied"] == sum(produced.values())
    assert short.totals["duplicates"] > 0
    assert short.totals["dead"] >= short.bad > 0


def test_a_seed_draws_the_same_schedule_again_and_each_kind_before_one_repeats() -> None:
    assert draw(5, 600, 40) == draw(5, 600, 40)
    assert draw(5, 600, 40) != draw(6, 600, 40)
    first = Counter(planned.kind for planned in draw(5, 600, len(KINDS) + 1))
    assert first == Counter([*KINDS, "worker-killed"])
    times = [planned.at_s for planned in draw(5, 600, 40)]
    assert times == sorted(times)
    assert max(times) < 600


def test_ids_are_counted_from_the_bytes_and_differ_from_month_to_month() -> None:
    months, ids = Months(seed=3, block_events=2000, partitions=4, blocks=2), Ids()
    good = [record for record in months if not months.bad(record)]
    for record in good:
        assert record.value is not None
        ids.add(record.topic, [event_id(record.value)])
    of_usage = [r.value for r in good if r.topic == "usage-events"]
    assert ids.distinct("usage-events") == len(set(of_usage)) == 4000 < len(of_usage)
