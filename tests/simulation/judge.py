"""What must hold at the end of a run: results equal the oracle, every record has one fate, every alert was told and is recorded once."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import polars as pl
from faust.types import TP

from streams.config import INPUT_TOPICS, ITEMS_TOPIC, USAGE_TOPIC, WINDOWS_TOPIC
from streams.detect.alert import Alert, alert_rows
from streams.detect.engine import AlertEngine
from streams.detect.history import OBSERVED_US
from streams.detect.policy import AlertPolicy
from streams.detect.words import instant
from streams.events.keys import partition_of
from streams.join.input import OFFSET_MASK
from streams.store.positions import SIDE
from streams.windows.families import FAMILIES, WINDOW_KEY, WINDOW_SCHEMA
from streams.windows.measures import MEASURES
from streams.windows.updates import WINDOWS, unpack
from tests.e2e.results import differences, expected_tables, tables
from tests.oracle.value import SAMPLE_PRICES
from tests.oracle.world import Results, world
from tests.simulation.broker import Broker
from tests.simulation.events import Publication
from tests.simulation.inputs import Inputs
from tests.simulation.store import SimulatedStore
from tests.store.memory import Row
from tests.strategies import Event

_SLIDES = {family.size: family.slide_us for family in FAMILIES}
_SUMS = (*MEASURES, "contributors")
_PLACES = {name: place for place, name in enumerate(_SUMS)}


def judged(
    inputs: Inputs, broker: Broker, store: SimulatedStore, lateness_us: int, *, windowed: bool, ahead_us: int
) -> list[str]:
    """What differs, in words. `windowed`: windows and alerts were made as well; compared are those that end up to `ahead_us` after the
    watermark: final ones, and provisional ones as far as they have begun their last slide."""
    out: list[str] = []
    accepted: dict[str, list[Event]] = {topic: [] for topic in INPUT_TOPICS}
    for tp in inputs.lives:
        account = Account(inputs, store, tp)
        out += account.differences()
        accepted[tp.topic] += account.accepted.values()
    results = world(accepted[USAGE_TOPIC], accepted[ITEMS_TOPIC], SAMPLE_PRICES)
    out += differences(tables(store), expected_tables(results))
    if windowed:
        out += _windows(store, results, broker.partitions, lateness_us, ahead_us)
        out += _alerts(broker, store, lateness_us)
    return out


Identity = tuple[str, str]
"""Tenant and event id."""


class Account:
    """What became of the records of one input partition: each has one fate, and every event that could be read was accepted once."""

    def __init__(self, inputs: Inputs, store: SimulatedStore, tp: TP) -> None:
        self.tp, self.lives = tp, inputs.lives[tp]
        self.accepted: dict[Identity, Event] = {}
        side = SIDE[tp.topic]
        self._incarnations = inputs.incarnations(tp.partition)
        self._ids = [row[f"{side}_topic_id"] for row in self._incarnations]
        checkpoint = store.tables["checkpoints"].get((tp.partition,), {})
        last = len(self._incarnations) - 1
        present = checkpoint.get("incarnation", -1) == last >= 0
        self._counts = {name: checkpoint[f"{side}_{name}"] for name in _COUNTED} if present else {}
        self._next = inputs.reached(tp, last)
        ends = [row[f"{side}_end"] for row in self._incarnations[:-1]] + [self._next]
        before = zip(ends[:-1], self._ids[:-1], strict=True)
        self._read_before = max((end for end, known in before if known == self._ids[-1]), default=0)
        """Of the present log an earlier incarnation read so much."""
        self._fates: defaultdict[tuple[int, int], list[tuple[str, Identity | None]]] = defaultdict(list)
        for fate, row in _fates(store, tp):
            place = row["incarnation"], row["koff"]
            if place[0] < len(ends) and place[1] < ends[place[0]]:
                identity = None if fate == "dead" else (row["tenant"], row["event_id"])
                self._fates[place].append((fate, identity))

    def differences(self) -> Iterator[str]:
        """In words; fills `accepted`."""
        for (incarnation, offset), fates in sorted(self._fates.items()):
            if len(fates) > 1:
                yield f"{self.tp} {incarnation}/{offset}: stored as {fates}"
            fate, identity = fates[0]
            first = self.lives[[life.topic_id for life in self.lives].index(self._ids[incarnation]) :]
            # A worker may have read on in a topic that was created anew before it noticed.
            here = [life.records[offset] for life in first if offset < len(life.records)]
            record = next((one for one in here if self._becomes(one) == (fate, identity)), None)
            if record is None:
                yield f"{self.tp} {incarnation}/{offset}: stored as {fate} {identity}, there were {here}"
            elif record.event is not None:
                self.accepted.setdefault(_identity(record.event), record.event)
        for life in self.lives:
            for offset, record in enumerate(life.records):
                if record.event and _identity(record.event) not in self.accepted and offset not in life.lost:
                    yield f"{self.tp}: {_identity(record.event)} was never accepted, {life.topic_id} has it at {offset}"
        yield from self._present()

    def _becomes(self, record: Publication) -> tuple[str, Identity | None]:
        """What must become of a record after those that were accepted before it."""
        if record.event is None:
            return "missing" if record.value is None else "dead", None
        identity = _identity(record.event)
        return "duplicate" if identity in self.accepted else "applied", identity

    def _present(self) -> Iterator[str]:
        """The last incarnation has read its log whole, and its counts are those of the rows."""
        life, last = self.lives[-1], len(self._incarnations) - 1
        if not self._counts:
            if (readable := len(life.records) - life.begin) > 0:
                yield f"{self.tp}: {readable} records, no checkpoint"
            return
        if self._ids[-1] != life.topic_id or self._next != len(life.records):
            yield f"{self.tp}: read {self._ids[-1]} to {self._next} of {life.topic_id}, {len(life.records)}"
        begin = self._counts["begin"] & OFFSET_MASK
        if begin > life.begin:
            yield f"{self.tp}: read from {begin}, the log begins at {life.begin}"
        for offset in range(begin, len(life.records)):
            hole = life.records[offset].value is None
            # What an earlier incarnation had read may be deleted before this one reads it again.
            hole |= offset < min(self._read_before, life.begin)
            if not hole and (last, offset) not in self._fates and offset not in life.lost:
                yield f"{self.tp}: nothing became of the record at {offset}"
        found = Counter(fates[0][0] for (incarnation, _), fates in self._fates.items() if incarnation == last)
        found["missing"] = self._next - begin - found.total()
        for fate, column in _COUNTS.items():
            if self._counts[column] != found[fate]:
                yield f"{self.tp}: counted {self._counts[column]} {fate}, there are {found[fate]}"


_COUNTS = {"applied": "applied", "duplicate": "duplicates", "dead": "dead", "missing": "missing"}
_COUNTED = ("begin", *_COUNTS.values())


def _identity(event: Event) -> Identity:
    return event["tenant"], event["event_id"]


def _fates(store: SimulatedStore, tp: TP) -> Iterator[tuple[str, Row]]:
    """The rows that say what became of a partition's records."""
    raw = "usage_events" if tp.topic == USAGE_TOPIC else "work_item_events"
    for table, fate in ((raw, "applied"), ("duplicates", "duplicate"), ("dead_letters", "dead")):
        for row in store.rows(table):
            if row["kpart"] == tp.partition and row.get("topic", tp.topic) == tp.topic:
                yield fate, row


# --- windows ------------------------------------------------------------------------------------------------------------------------


def _windows(
    store: SimulatedStore, results: Results, partitions: int, lateness_us: int, ahead_us: int
) -> Iterator[str]:
    """All windows that begin their last slide before the watermark, with their sums; final from end + lateness on."""
    watermarks = {row["upart"]: row["watermark"] for row in store.rows("window_checkpoints")}
    if len(watermarks) < partitions:
        yield f"window checkpoints of {sorted(watermarks)}, not of all {partitions} partitions"
        return
    watermark = max(watermarks.values())
    wanted = {
        tuple(key): _row(sums)
        for key, sums in results.windows(watermark + ahead_us + lateness_us, lateness_us).items()
        if key.end - _SLIDES[key.size] <= watermarks[partition_of(key.tenant, partitions)]
    }
    rows = store.windows().with_columns(pl.col("window_end").cast(pl.Int64))
    found: dict[tuple[Any, ...], tuple[int, ...]] = {}
    wrong = 0
    for row in rows.select(*WINDOW_KEY, *_SUMS, "status").iter_rows():
        key, sums, status = row[:8], row[8:-1], row[-1]
        if any(sums) and key[-1] <= watermark + ahead_us:
            found[key] = sums
        final = key[-1] + lateness_us <= watermarks[partition_of(key[0], partitions)]
        wrong += status != ("final" if final else "provisional")
    if wrong:
        yield f"windows: {wrong} of {len(rows)} have another status than the watermark {watermarks} says"
    keys = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    for key in keys[:5]:
        one, other = _named(found.get(key)), _named(wanted.get(key))
        yield f"windows {key}\n  stored   {one}\n  expected {other}"
    if len(keys) > 5:
        yield f"windows: {len(keys)} differ"


def _row(sums: dict[str, int]) -> tuple[int, ...]:
    row = [0] * len(_SUMS)
    for name, amount in sums.items():
        row[_PLACES[name]] = amount
    return tuple(row)


def _named(sums: tuple[int, ...] | None) -> dict[str, int] | None:
    return None if sums is None else {name: n for name, n in zip(_SUMS, sums, strict=True) if n}


# --- alerts -------------------------------------------------------------------------------------------------------------------------


def _alerts(broker: Broker, store: SimulatedStore, lateness_us: int) -> Iterator[str]:
    windows = store.windows()["window_end"].cast(pl.Int64)
    if len(windows) == 0 or windows.max() - windows.min() < OBSERVED_US:  # type: ignore[operator]
        return  # nobody has a past to compare with
    recorded = {(row["fingerprint"], row["started_at"]): row for row in store.rows("alerts")}
    told: defaultdict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for record in broker.published_alerts():
        assert record.value is not None
        message = json.loads(record.value)
        told[message["fingerprint"], message["startsAt"]].add((message["windowEnd"], message["state"]))
    for (fingerprint, started_at), row in recorded.items():
        if (instant(row["window_end"]), row["state"]) not in told[fingerprint, instant(started_at)]:
            yield f"alert {row['rule']} of {row['tenant']}/{row['team']} is recorded as {row['state']}, which nobody was told"
    known = {(fingerprint, instant(started_at)) for fingerprint, started_at in recorded}
    for key in told.keys() - known:
        if told[key]:
            yield f"alert {key} was told and is not recorded"
    undisturbed, revised = _undisturbed(broker, lateness_us)
    if not revised:
        wanted = {(row["fingerprint"], row["started_at"]): row for row in undisturbed}
        for key in sorted(wanted.keys() | recorded.keys()):
            if wanted.get(key) != recorded.get(key):
                yield f"alert {key}\n  recorded {recorded.get(key)}\n  expected {wanted.get(key)}"


def _undisturbed(broker: Broker, lateness_us: int) -> tuple[list[dict[str, Any]], bool]:
    """The alerts of engines that judge all published windows without a pause, and whether any window of a team was revised.

    A late revision may come to a restarted engine before it judges the window, and after to one that runs on: then both are right.
    """
    alerts: dict[tuple[str, int], Alert] = {}
    revised = False
    for p in range(broker.partitions):
        engine = AlertEngine(AlertPolicy(), lateness_us)
        for record in broker.logs[TP(WINDOWS_TOPIC, p)]:
            assert record.value is not None
            kind, frame = unpack(record.value)
            if kind == WINDOWS:
                final = frame.filter(pl.col("status") == "final")
                revised |= bool((final["revision"] > 0).any())
                changes = engine.on_windows(final, engine.watermark_us)
            else:
                changes = engine.on_windows(pl.DataFrame(schema=WINDOW_SCHEMA), frame["usage_watermark"][0])
            alerts |= {(change.fingerprint, change.started_at): change for change in changes}
    rows = alert_rows(alerts.values())
    times = [name for name, kind in rows.schema.items() if isinstance(kind, pl.Datetime)]
    return rows.with_columns(pl.col(times).cast(pl.Int64)).to_dicts(), revised
