"""From an event produced to the provisional 1h window that counts it: `python -m benchmarks.latency [--json FILE]`.

Events of both topics are produced at a steady rate with the time of now, work-item events as seldom among them as in the made traffic. How many
requests the tenant's provisional 1h window with the latest end counts is read ten times a second; an event is visible when that number has
reached the requests of all events produced before it and its own. The stretch that is measured has the begin of a slide in its middle, from
which on events count in a window that is not there yet.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import polars as pl
import typer
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine_facts
from benchmarks.traffic import make
from streams.agents.initialise import initialise
from streams.config import INPUT_TOPICS, ITEMS_TOPIC, USAGE_TOPIC, Settings
from streams.events.keys import partition_of, usage_key
from streams.events.schemas import EventName
from streams.local.stack import Stack
from streams.publish.columns import encode
from streams.store.client import connect

RATES: Final = (1_000, 50_000)
LOW_LATENCY: Final = {"flush_interval_s": 0.2}
TICK_S: Final = 0.05
_TEMPLATES: Final = 100_000
_ID_BYTES: Final = 32
_SLIDE_S: Final = 300
_WARM_S: Final = 30
_EVENTS: Final[tuple[EventName, EventName]] = ("usage_event", "work_item_event")
_TIME_BYTES: Final = 8
"""A zig-zag varint of micro-seconds, from 1979 to 2259."""
_NEWEST: Final = (
    "SELECT argMax(requests, (window_end, version)) FROM value_windows WHERE grouping = 'tenant' AND size = '1h'"
)


@dataclass(frozen=True, slots=True)
class Template:
    """An encoded event of a topic without its id and its time; `rest` follows the time."""

    topic: str
    head: bytes
    rest: bytes
    partition: int
    requests: int


class Publisher(threading.Thread):
    """Produces at a rate until it is told to stop. `sent`: by tick the time at which it was handed over and the requests of all so far."""

    def __init__(self, kafka: str, templates: Sequence[Template], rate: int, partitions: int) -> None:
        super().__init__(daemon=True)
        self._kafka, self._templates, self._rate, self._partitions = kafka, templates, rate, partitions
        self.sent: list[tuple[float, int, int]] = []
        self.failure: BaseException | None = None
        self.stopping = threading.Event()

    def run(self) -> None:
        try:
            asyncio.run(self._publish())
        except BaseException as error:  # noqa: BLE001 - told to who waits
            self.failure = error

    async def _publish(self) -> None:
        producer: Any = AIOKafkaProducer(
            bootstrap_servers=self._kafka, acks="all", compression_type="lz4", max_batch_size=1 << 20
        )
        await producer.start()
        number, requests, began = 0, 0, time.time()
        try:
            while not self.stopping.is_set():
                now = time.time()
                stamp = _varint(int(now * 1e6))
                batches = {
                    (topic, p): [producer.create_batch()] for topic in INPUT_TOPICS for p in range(self._partitions)
                }
                due = int((now - began) * self._rate) - number
                for _ in range(due):
                    template = self._templates[number % len(self._templates)]
                    value = b"".join((template.head, b"%0*x" % (_ID_BYTES, number), stamp, template.rest))
                    made, at = batches[template.topic, template.partition], int(now * 1e3)
                    while made[-1].append(key=None, value=value, timestamp=at) is None:
                        made.append(producer.create_batch())
                    number += 1
                    requests += template.requests
                self.sent.append((now, requests, due))
                full = [(to, batch) for to, made in batches.items() for batch in made if batch.record_count()]
                futures = [await producer.send_batch(batch, topic, partition=p) for (topic, p), batch in full]
                await asyncio.gather(*futures)
                await asyncio.sleep(max(now + TICK_S - time.time(), 0))
        finally:
            await producer.stop()


def templates(partitions: int) -> list[Template]:
    """Events of the benchmark's traffic, of both topics and in the order of their time."""
    traffic = make(_TEMPLATES)
    usage, items = traffic.usage, traffic.items
    keyed = (
        usage.with_columns(topic=pl.lit(USAGE_TOPIC), at="occurred_at"),
        items.with_columns(
            topic=pl.lit(ITEMS_TOPIC),
            at="occurred_at",
            session_id=pl.lit(None, pl.String),
            requests=pl.lit(0, pl.Int64),
        ),
    )
    found = []
    for frame, record in zip(keyed, _EVENTS, strict=True):
        blank = pl.Series(["0" * _ID_BYTES]).new_from_index(0, len(frame))
        values = encode(frame.with_columns(event_id=blank), record)
        keys = frame.select("at", "topic", "tenant", "work_item_id", "session_id", "requests").iter_rows()
        for value, (at, topic, tenant, item, session, requests) in zip(values, keys, strict=True):
            begin = value.index(b"0" * _ID_BYTES)
            rest = value[begin + _ID_BYTES + _TIME_BYTES :]
            place = partition_of(usage_key(tenant, "", item, session), partitions)
            found.append((at, Template(topic, value[:begin], rest, place, requests)))
    return [template for _, template in sorted(found, key=lambda pair: pair[0])]


def _varint(value: int) -> bytes:
    bits, out = value << 1, bytearray()
    while bits > 0x7F:
        out.append(bits & 0x7F | 0x80)
        bits >>= 7
    out.append(bits)
    assert len(out) == _TIME_BYTES
    return bytes(out)


def latencies(
    sent: Sequence[tuple[float, int, int]], seen: Sequence[tuple[float, int]], since: float, until: float
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Seconds from produced to visible, and how many events each stands for, of the ticks of a stretch of time; inf: never seen.

    `sent`: time, requests so far, events of the tick. `seen`: time, requests that the window counted then.
    """
    times, counts = np.array([at for at, _ in seen]), np.maximum.accumulate([count for _, count in seen])
    chosen = [(at, requests, events) for at, requests, events in sent if since <= at < until and events]
    first = np.searchsorted(counts, [requests for _, requests, _ in chosen])
    visible = np.append(times, np.inf)[first]
    return visible - np.array([at for at, _, _ in chosen]), np.array([events for *_, events in chosen])


def quantile(values: np.ndarray[Any, Any], weights: np.ndarray[Any, Any], share: float) -> float:
    """The least value that `share` of the weight does not exceed."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, share * reached[-1])])


def measure(
    rate: int, options: dict[str, float], found: Sequence[Template], warm_s: float, seconds: float
) -> dict[str, Any]:
    """Latency at a rate with some settings, in a stretch of time around the begin of a slide, after a while of warming up."""
    with tempfile.TemporaryDirectory(prefix="tokenworth-latency-") as directory, Stack(Path(directory)) as stack:
        settings = Settings(kafka=stack.kafka, clickhouse=stack.clickhouse, data_dir=Path(directory))
        initialise(settings)
        env = {f"TOKENWORTH_{name.upper()}": str(value) for name, value in options.items()}
        stack.spawn("worker", [sys.executable, "-m", "streams.cli", "worker"], env=env)
        client = connect(settings.clickhouse)
        time.sleep(-(time.time() + warm_s + seconds / 2) % _SLIDE_S)
        publisher = Publisher(stack.kafka, found, rate, settings.partitions)
        publisher.start()
        began, seen = time.time(), []
        until = began + warm_s + seconds
        while time.time() < until + 10:
            stack.check()
            if publisher.failure is not None:
                raise publisher.failure
            if time.time() > until:
                publisher.stopping.set()
            count = int(client.query(_NEWEST).result_rows[0][0])
            seen.append((time.time(), count))
            time.sleep(0.1)
        client.close()
    values, weights = latencies(publisher.sent, seen, began + warm_s, until)
    produced = int(weights.sum()) / seconds
    return {"rate": rate, "produced_per_s": round(produced), "settings": options, "seconds": seconds} | {
        f"p{share}_s": _told(quantile(values, weights, share / 100)) for share in (50, 99)
    }


def _told(seconds: float) -> float | None:
    """None: not seen before the run ended."""
    return round(seconds, 2) if np.isfinite(seconds) else None


def main(
    seconds: Annotated[
        float, typer.Option(help="measured, after half a minute of warming up, around a full five minutes")
    ] = 30,
    json_file: Annotated[Path | None, typer.Option("--json", help="where to write the results")] = None,
) -> None:
    """From an event produced to the provisional 1h window that counts it."""
    found, results = templates(Settings().partitions), []
    table = Table("events/s", "produced", "settings", "p50 s", "p99 s")
    for rate in RATES:
        for options in ({}, LOW_LATENCY):
            result = measure(rate, options, found, _WARM_S, seconds)
            results.append(result)
            told = ", ".join(f"{name} = {value:g}" for name, value in options.items()) or "default"
            table.add_row(
                f"{rate:,}", f"{result['produced_per_s']:,}", told, str(result["p50_s"]), str(result["p99_s"])
            )
    Console().print(table)
    if json_file is not None:
        json_file.write_text(
            json.dumps({"machine": machine_facts(), "latency": results}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    typer.run(main)
