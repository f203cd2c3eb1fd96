"""What must hold at the end of a run: results equal the oracle, every record has one fate, every alert was told and is recorded once."""

from __future__ import annotations

import json
from collections import defaultdict
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
from streams.join.partition import OFFSET_BITS
from streams.windows.families import FAMILIES, WINDOW_KEY, WINDOW_SCHEMA
from streams.windows.measures import MEASURES
from streams.windows.updates import WINDOWS, unpack
from tests.e2e.results import differences, expected_tables, tables
from tests.oracle.value import SAMPLE_PRICES
from tests.oracle.world import Results, world
from tests.simulation.broker import Broker
from tests.simulation.events import Publication
from tests.simulation.store import SimulatedStore

Log = dict[TP, list[Publication]]
"""What lies at each offset of the input topics."""

_SLIDES = {family.size: family.slide_us for family in FAMILIES}
_SUMS = (*MEASURES, "contributors")
_PLACES = {name: place for place, name in enumerate(_SUMS)}


def judged(
    log: Log, broker: Broker, store: SimulatedStore, lateness_us: int, *, windowed: bool, ahead_us: int
) -> list[str]:
    """What differs, in words. `windowed`: windows and alerts were made as well; compared are those that end up to `ahead_us` after the
    watermark: final ones, and provisional ones as far as they have begun their last slide."""
    fates = _fates(log)
    accepted = {
        topic: [event for tp, o in places if (event := log[tp][o].event)] for topic, places in _applied(log, fates)
    }
    results = world(accepted[USAGE_TOPIC], accepted[ITEMS_TOPIC], SAMPLE_PRICES)
    out = differences(tables(store), expected_tables(results))
    out += _accounting(log, fates, store)
    if windowed:
        out += _windows(store, results, broker.partitions, lateness_us, ahead_us)
        out += _alerts(broker, store, lateness_us)
    return out


def _fates(log: Log) -> dict[TP, list[str]]:
    """What must become of each record: the first of an identity is applied."""
    out: dict[TP, list[str]] = {}
    for tp, records in log.items():
        seen: set[tuple[str, str]] = set()
        out[tp] = []
        for record in records:
            if record.event is None:
                out[tp].append("missing" if record.value is None else "dead")
                continue
            identity = record.event["tenant"], record.event["event_id"]
            out[tp].append("duplicate" if identity in seen else "applied")
            seen.add(identity)
    return out


def _applied(log: Log, fates: dict[TP, list[str]]) -> Iterator[tuple[str, list[tuple[TP, int]]]]:
    for topic in INPUT_TOPICS:
        yield (
            topic,
            [
                (tp, offset)
                for tp in log
                if tp.topic == topic
                for offset, fate in enumerate(fates[tp])
                if fate == "applied"
            ],
        )


def _accounting(log: Log, fates: dict[TP, list[str]], store: SimulatedStore) -> Iterator[str]:
    """Each record is stored as what it became and as nothing else, and the counts of the checkpoint say the same."""
    stored: defaultdict[tuple[str, str, int], list[int]] = defaultdict(list)
    for table, topic in (("usage_events", USAGE_TOPIC), ("work_item_events", ITEMS_TOPIC)):
        for row in store.rows(table):
            stored["applied", topic, row["kpart"]].append(row["koff"])
    for table, fate in (("duplicates", "duplicate"), ("dead_letters", "dead")):
        for row in store.rows(table):
            stored[fate, row["topic"], row["kpart"]].append(row["koff"])
    checkpoints = {row["kpart"]: row for row in store.rows("checkpoints")}
    for tp, found in fates.items():
        side = "usage" if tp.topic == USAGE_TOPIC else "items"
        if tp.partition not in checkpoints:
            if found:
                yield f"{tp}: {len(found)} records, no checkpoint"
            continue
        row = checkpoints[tp.partition]
        if (at := row[f"{side}_next"] & ((1 << OFFSET_BITS) - 1)) != len(found):
            yield f"{tp}: read to {at} of {len(found)}"
        for fate, column in (
            ("applied", "applied"),
            ("duplicate", "duplicates"),
            ("dead", "dead"),
            ("missing", "missing"),
        ):
            wanted = [offset for offset, became in enumerate(found) if became == fate]
            if row[f"{side}_{column}"] != len(wanted):
                yield f"{tp}: counted {row[f'{side}_{column}']} {fate}, there are {len(wanted)}"
            offsets = sorted(stored[fate, tp.topic, tp.partition])
            if fate != "missing" and offsets != wanted:
                yield f"{tp}: stored as {fate} {offsets}, expected {wanted}"


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
