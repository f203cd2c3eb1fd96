"""From an event produced to the provisional 1h window that counts it: `python -m benchmarks.latency [--json FILE]`.

Events are produced at a steady rate with the time of now. How many requests the tenant's newest 1h window in ClickHouse counts is read ten times a
second; an event is visible when that number has reached the requests of all events produced before it and its own.
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
from streams.config import USAGE_TOPIC, Settings
from streams.events.keys import partition_of, usage_key
from streams.local.stack import Stack
from streams.publish.columns import encode
from streams.store.client import connect

RATES: Final = (1_000, 50_000)
LOW_LATENCY: Final = {"flush_interval_s": 0.2}
TICK_S: Final = 0.05
_TEMPLATES: Final = 100_000
_ID_BYTES: Final = 32
_TIME_BYTES: Final = 8
"""A zig-zag varint of micro-seconds, from 1979 to 2259."""
_NEWEST: Final = (
    "SELECT argMax(requests, (window_end, version)) FROM value_windows WHERE grouping = 'tenant' AND size = '1h'"
)


@dataclass(frozen=True, slots=True)
class Template:
    """An encoded event without its id and its time; `rest` follows the time."""

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
                batches = [producer.create_batch() for _ in range(self._partitions)]
                due = int((now - began) * self._rate) - number
                for _ in range(due):
                    template = self._templates[number % len(self._templates)]
                    value = b"".join((template.head, b"%0*x" % (_ID_BYTES, number), stamp, template.rest))
                    if batches[template.partition].append(key=None, value=value, timestamp=int(now * 1e3)) is None:
                        raise RuntimeError(f"{due} events in a tick are too many: this machine cannot produce so fast")
                    number += 1
                    requests += template.requests
                self.sent.append((now, requests, due))
                full = [(p, batch) for p, batch in enumerate(batches) if batch.record_count()]
                futures = [await producer.send_batch(batch, USAGE_TOPIC, partition=p) for p, batch in full]
                await asyncio.gather(*futures)
                await asyncio.sleep(max(now + TICK_S - time.time(), 0))
        finally:
            await producer.stop()


def templates(partitions: int) -> list[Template]:
    """Events of the benchmark's traffic."""
    usage = make(_TEMPLATES).usage
    ids = pl.Series(["0" * _ID_BYTES]).new_from_index(0, len(usage))
    values = encode(usage.with_columns(event_id=ids), "usage_event")
    keys = usage.select("tenant", "work_item_id", "session_id", "requests").iter_rows()
    found = []
    for value, (tenant, item, session, requests) in zip(values, keys, strict=True):
        at = value.index(b"0" * _ID_BYTES)
        rest = value[at + _ID_BYTES + _TIME_BYTES :]
        place = partition_of(usage_key(tenant, "", item, session), partitions)
        found.append(Template(value[:at], rest, place, requests))
    return found


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
    """Latency at a rate with some settings, after a while in which inputs without events stop holding the watermark back."""
    with tempfile.TemporaryDirectory(prefix="tokenworth-latency-") as directory, Stack(Path(directory)) as stack:
        settings = Settings(kafka=stack.kafka, clickhouse=stack.clickhouse, data_dir=Path(directory))
        initialise(settings)
        env = {f"TOKENWORTH_{name.upper()}": str(value) for name, value in options.items()}
        stack.spawn("worker", [sys.executable, "-m", "streams.cli", "worker"], env=env)
        client = connect(settings.clickhouse)
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
    seconds: Annotated[float, typer.Option(help="measured, after as long a while of warming up and 35 s more")] = 30,
    json_file: Annotated[Path | None, typer.Option("--json", help="where to write the results")] = None,
) -> None:
    """From an event produced to the provisional 1h window that counts it."""
    found, results = templates(Settings().partitions), []
    table = Table("events/s", "produced", "settings", "p50 s", "p99 s")
    for rate in RATES:
        for options in ({}, LOW_LATENCY):
            result = measure(rate, options, found, 35 + seconds, seconds)
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
