"""One run: workers and traffic, faults by a schedule, and at the end every account settled."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from streams.agents.topics import end_offsets
from streams.config import ALERTS_TOPIC, INPUT_TOPICS, Settings
from streams.events.keys import partition_of
from streams.store.alerts import load_watermark
from streams.store.reading import ClickHouseStored
from streams.store.verify import VerifyReport, verify
from tests.faults.cluster import Cluster, Slot, Stop, running_cluster, writer
from tests.faults.kinds import KINDS, Fault
from tests.faults.schedule import Planned, draw
from tests.faults.traffic import BLOCK_EVENTS, TENANTS, Months, Publishing

Say = Callable[[str], None]

TICK_S = 0.1
LOOK_S = 1.0
TELL_S = 10.0
START_S = 90.0
STRIKES_WITHIN_S = 180.0
"""Beyond its time: a fault that has not struck by then is healed and counted as missed."""
PATIENCE_S = 300.0
"""Without a single record applied: then something hangs."""
EVENLY = 0.95
TRICKLE = 300.0
"""Records a second once the planned time is over but faults are not."""
AHEAD = 400_000
"""Records that may wait in Kafka at full speed."""
RAW = dict(zip(INPUT_TOPICS, ("usage_events", "work_item_events"), strict=True))


@dataclass(frozen=True)
class Options:
    """What may be chosen. `events` 0: as many as are applied in the time. `stall_clickhouse`: it answers nothing for the middle third. `verify`: recompute
    every stored row at the end."""

    seed: int = 1
    minutes: float = 60.0
    faults: int = 200
    events: int = 20_000_000
    stall_clickhouse: bool = False
    verify: bool = True


@dataclass
class TakeOver:
    """Partitions whose worker was hurt, and since when."""

    pid: int
    partitions: set[int]
    since: float


@dataclass
class Outcome:
    """What a run came to. `problems` is empty when everything is as it must be."""

    options: Options
    problems: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    take_overs_s: list[float] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    produced: int = 0
    bad: int = 0
    repeated: int = 0
    totals: dict[str, int] = field(default_factory=dict)
    distinct: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Per topic: distinct ids produced, distinct ids in the raw tables."""
    alerts: tuple[int, int] = (0, 0)
    """Recorded, and of these not found on the topic."""
    verified: VerifyReport | None = None
    streamed_s: float = 0.0
    rss: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    lag: list[tuple[float, int]] = field(default_factory=list)


def run(options: Options, data_dir: Path, say: Say, **settings: Any) -> Outcome:
    """Run in the empty directory `data_dir`; blocks. Fails when something hangs; what is wrong in the end is in the outcome."""
    with running_cluster(
        data_dir, clickhouse_memory_mb=4096 if options.events > BLOCK_EVENTS else 2048, **settings
    ) as cluster:
        return _Run(options, cluster, say).outcome()


class _Run:
    def __init__(self, options: Options, cluster: Cluster, say: Say) -> None:
        self.options, self.cluster, self.say = options, cluster, say
        self.found = Outcome(options)
        self.planned = draw(options.seed, options.minutes * 60, options.faults)
        self.active: list[tuple[float, Planned, Fault]] = []
        self.healing: list[Fault] = []
        self.take_overs: list[TakeOver] = []
        self.consumed, self.looked, self.told = 0, 0.0, 0.0
        block = min(options.events, BLOCK_EVENTS) or BLOCK_EVENTS
        self.months = Months(options.seed, block, self.settings.partitions, -(-options.events // block) or None)
        self.publishing = Publishing(self.settings, self.months, self._allowed)

    @property
    def settings(self) -> Settings:
        return self.cluster.system.settings

    def outcome(self) -> Outcome:
        cluster, found = self.cluster, self.found
        for slot in cluster.slots[:-1]:
            cluster.start(slot)
        cluster.wait(lambda: all(slot.ready for slot in cluster.slots[:-1]), "the first workers are ready", START_S)
        self.began = time.monotonic()
        self.publishing.start()
        self._happen()
        self.say("all faults are over; publishing the rest")
        self.publishing.finish(rest=bool(self.options.events))
        self._settle()
        found.streamed_s = time.monotonic() - self.began
        self._last_worker()
        self._check_counts()
        self._check_alerts()
        if self.options.verify:
            self._verify()
        found.stops, found.ended = cluster.stops, cluster.ended
        found.rss = {slot.name: slot.peaks for slot in cluster.slots}
        found.problems += [f"{stop.worker} took {stop.seconds:.1f} s to leave, exit code {stop.code}" for stop in found.stops if stop.seconds >= 10 or stop.code != 0]  # fmt: skip
        return found

    # --- while traffic flows ----------------------------------------------------------------------------------------------------------

    def _allowed(self) -> float:
        """How many records may have been published by now."""
        now, seconds = time.monotonic() - self.began, self.options.minutes * 60
        if not self.options.events:
            return self.consumed + AHEAD if not self._stalled(now) else self.consumed + AHEAD * 10
        evenly = self.options.events * EVENLY
        return evenly * min(now / seconds, 1.0) + TRICKLE * max(now - seconds, 0.0)

    def _stalled(self, now: float) -> bool:
        """Whether ClickHouse answers nothing now because of the option."""
        return self.options.stall_clickhouse and 1 / 3 < now / (self.options.minutes * 60) < 2 / 3

    def _happen(self) -> None:
        """The schedule, until its time is over and the last fault healed."""
        waiting = list(self.planned)
        while True:
            now = time.monotonic() - self.began
            self.publishing.check()
            self._end_faults(now)
            for planned in [planned for planned in waiting if planned.at_s <= now]:
                if self._begin(planned, now):
                    waiting.remove(planned)
            self.cluster.tend()
            if self.options.stall_clickhouse:
                for slot in self.cluster.slots:
                    slot.clickhouse.state = "none" if self._stalled(now) else "as they are"
            self._look(now)
            if not waiting and not self.active and not self.healing and now >= self.options.minutes * 60:
                return
            late = now - self.options.minutes * 60
            assert late < 2 * PATIENCE_S, (
                f"faults do not end: {waiting} {[p for _, p, _ in self.active]} {self.cluster.ended}"
            )
            time.sleep(TICK_S)

    def _begin(self, planned: Planned, now: float) -> bool:
        """Begin a fault, unless what it needs is in use or not there: then it comes a little later."""
        fault = KINDS[planned.kind][0](self.cluster, Random(planned.seed))
        busy = frozenset[str]().union(
            *(other.needs for _, _, other in self.active), *(other.needs for other in self.healing)
        )
        if fault.needs & busy or not fault.may_begin():
            return False
        victim, rows = fault.victim, self.cluster.checkpoints() if fault.victim else None
        if victim is not None and victim.child is not None and rows is not None:
            owned = {row["kpart"] for row in rows if self.cluster.wrote(victim, row)}
            self.take_overs.append(TakeOver(victim.child.pid, owned, time.monotonic()))
        fault.begin()
        self.say(f"{now:6.0f} s  begins: {fault.kind} ({', '.join(sorted(fault.needs))})")
        self.found.faults[fault.kind] += 1
        self.active.append((now, planned, fault))
        return True

    def _end_faults(self, now: float) -> None:
        self.healing = [fault for fault in self.healing if not fault.healed()]
        for entry in list(self.active):
            since, planned, fault = entry
            if now - since < planned.lasts_s:
                continue
            struck = fault.struck()
            if struck or now - since > planned.lasts_s + STRIKES_WITHIN_S:
                if not struck:
                    self.found.missed[fault.kind] += 1
                self.say(f"{now:6.0f} s  ends: {fault.kind}{'' if struck else ', which has not struck'}")
                fault.heal()
                self.active.remove(entry)
                self.healing.append(fault)

    def _look(self, now: float) -> None:
        """Once a second: memory, lag and take-overs."""
        if now - self.looked < LOOK_S:
            return
        self.looked = now
        for slot in self.cluster.slots:
            if rss := slot.rss():
                slot.peaks.append((now, rss))
        rows = self.cluster.checkpoints()
        if rows is None:
            return
        self.consumed = sum(row["usage_next"] + row["items_next"] for row in rows)
        lag = self.publishing.records - self.consumed
        self.found.lag.append((now, lag))
        for lost in list(self.take_overs):
            if all(writer(row) != lost.pid for row in rows if row["kpart"] in lost.partitions):
                self.take_overs.remove(lost)
                if lost.partitions:
                    self.found.take_overs_s.append(time.monotonic() - lost.since)
        if now - self.told >= TELL_S:
            self.told = now
            memory = " ".join(f"{slot.rss() >> 20}" for slot in self.cluster.slots)
            counts = f"{self.found.faults.total()} of {self.options.faults} faults, {self.consumed:,} applied, lag {max(lag, 0):,}"
            self.say(f"{now:6.0f} s  {counts}, MB of the workers {memory}")

    # --- the end ----------------------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Until every record of the log is applied and windowed."""
        system = self.cluster.system
        self.say("waiting until everything is applied")
        self.cluster.wait(self._covered(end_offsets(self.settings)), "everything is applied", PATIENCE_S)
        self._wait_for(lambda: system.wait_until_windowed(0, timeout_s=PATIENCE_S))

    def _covered(self, ends: dict[tuple[str, int], int]) -> Callable[[], bool]:
        def covered() -> bool:
            self._look(time.monotonic() - self.began)
            rows = {row["kpart"]: row for row in self.cluster.checkpoints() or ()}
            names = dict(zip(INPUT_TOPICS, ("usage_next", "items_next"), strict=True))
            return all(
                place[1] in rows and rows[place[1]][names[place[0]]] >= end for place, end in ends.items() if end
            )

        return covered

    def _last_worker(self) -> None:
        """All leave; a last worker takes over, lets the ended input be idle, and makes every window final and judged."""
        cluster, system = self.cluster, self.cluster.system
        for slot in cluster.slots:
            if slot.child is not None:
                cluster.stop(slot)
        cluster.wait(lambda: not any(slot.child for slot in cluster.slots), "all workers have left", PATIENCE_S)
        self.say("a last worker makes the windows final")
        last: Slot = cluster.slots[0]
        last.env["TOKENWORTH_WATERMARK_IDLE_S"] = "1"
        cluster.start(last)
        final_us = int(self.months.end.timestamp()) * 1_000_000
        self._wait_for(lambda: system.wait_until_windowed(final_us, timeout_s=2 * PATIENCE_S))
        stored = ClickHouseStored(system.client)
        judged = {partition_of(tenant, self.settings.partitions) for tenant in TENANTS}
        cluster.wait(
            lambda: all(load_watermark(stored, wpart) >= final_us for wpart in judged),
            "every window is judged",
            PATIENCE_S,
        )
        cluster.stop(last)
        cluster.wait(lambda: last.child is None, "the last worker has left", PATIENCE_S)

    def _wait_for(self, step: Callable[[], object]) -> None:
        """A wait of the system's own, which knows no worker that may end."""
        try:
            step()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.cluster.ended}") from error

    def _check_counts(self) -> None:
        """The three-way count of every partition, and ids produced against ids stored."""
        found, client = self.found, self.cluster.system.client
        found.produced, found.bad, found.repeated = (
            self.publishing.records,
            self.publishing.bad,
            self.publishing.repeated,
        )
        try:
            found.totals = self.cluster.system.assert_records_add_up()
        except AssertionError as error:
            found.problems.append(f"the records do not add up: {error}")
        if any(row["incarnation"] for row in self.cluster.system.checkpoints()):
            found.problems.append("a new incarnation began although topics and group are the same")
        for topic in INPUT_TOPICS:
            produced = self.publishing.ids.distinct(topic)
            stored = client.query(f"SELECT uniqExact(sipHash64(tenant, event_id)) FROM {RAW[topic]}").result_rows[0][0]
            found.distinct[topic] = produced, int(stored)
            if produced != stored:
                found.problems.append(f"{topic}: {produced} distinct ids produced, {stored} stored")
        produced = sum(count for count, _ in found.distinct.values())
        if found.totals and found.totals["applied"] != produced:
            found.problems.append(f"{produced} distinct ids produced, {found.totals['applied']} applied")
        if found.totals and found.totals["dead"] < found.bad:
            found.problems.append(f"{found.bad} bad records produced, {found.totals['dead']} dead letters")

    def _check_alerts(self) -> None:
        """Every recorded change of an alert was told on the topic."""
        told = set()
        for message in _messages(self.settings, ALERTS_TOPIC):
            ended = datetime.fromisoformat(message["windowEnd"])
            told.add((message["fingerprint"], message["state"], int(ended.timestamp())))
        recorded = set(
            self.cluster.system.client.query(
                "SELECT fingerprint, state, toUnixTimestamp(window_end) FROM alerts"
            ).result_rows
        )
        untold = recorded - told
        self.found.alerts = len(recorded), len(untold)
        if untold:
            self.found.problems.append(f"{len(untold)} recorded alerts are not on the topic: {sorted(untold)[:5]}")

    def _verify(self) -> None:
        self.say("recomputing every stored row from the raw events")
        report = verify(self.cluster.system.client, allowed_lateness_s=self.settings.allowed_lateness_s)
        self.found.verified = report
        if report.note:
            self.found.problems.append(report.note)
        self.found.problems += [
            f"{table.table}: {table.different} of {table.rows} different: {table.keys}"
            for table in report.tables
            if table.different
        ]


def _messages(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """Everything on a topic of JSON messages."""
    ends = {place: end for place, end in end_offsets(settings, (topic,)).items() if end}
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        parts = {TopicPartition(*place): end for place, end in ends.items()}
        consumer.assign(list(parts))
        found: list[dict[str, Any]] = []
        while any(consumer.position(part) < end for part, end in parts.items()):
            for records in consumer.poll(1000).values():
                found += [json.loads(record.value) for record in records]
        return found
    finally:
        consumer.close(autocommit=False)
