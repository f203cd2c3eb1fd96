"""The peers' job on Bytewax: python job.py BOOTSTRAP TOPIC RECORDS SCHEMA. Writes the progress lines of benchmarks/README.md."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main
from confluent_kafka import OFFSET_BEGINNING
from fastavro import parse_schema, schemaless_reader

BOOTSTRAP, TOPIC, RECORDS, SCHEMA = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
PARSED = parse_schema(json.loads(Path(SCHEMA).read_text(encoding="utf-8")))
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Totals = list[int]

read = 0
found: dict[str, list[Totals]] = {"lines": [], "panes": []}


def say(**line: int) -> None:
    """Write a progress line."""
    print(json.dumps(line), flush=True)


def decode(message: Any) -> dict[str, Any]:
    """The event of a message."""
    global read  # noqa: PLW0603
    read += 1
    if read == 1 or (read % max(RECORDS // 100, 1) == 0 and read < RECORDS):
        say(records=read)
    buffer = io.BytesIO(message.value)
    buffer.seek(5)
    event: dict[str, Any] = schemaless_reader(buffer, PARSED, None)
    return event


def add(totals: Totals, event: dict[str, Any]) -> Totals:
    """Events, tokens, output tokens, cost."""
    totals[0] += 1
    totals[1] += sum(event[name] for name in TOKENS)
    totals[2] += event["output_tokens"]
    totals[3] += event["cost_micro_usd"] or 0
    return totals


def merge(into: Totals, other: Totals) -> Totals:
    """The sum of two totals."""
    return [a + b for a, b in zip(into, other, strict=True)]


class Collected(StatelessSinkPartition[Any]):
    """Keeps the final totals."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def write_batch(self, items: list[Any]) -> None:
        """Items are (key, totals) or (key, (window, totals))."""
        found[self._kind] += [totals if self._kind == "lines" else totals[1] for _, totals in items]


class Collector(DynamicSink[Any]):
    """One partition of it, as there is one worker."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Collected:
        """Called by Bytewax."""
        return Collected(self._kind)


flow = Dataflow("peer")
source = KafkaSource([BOOTSTRAP], [TOPIC], starting_offset=OFFSET_BEGINNING, tail=False, batch_size=10_000)
usage = op.map("decode", op.input("usage", flow, source), decode)

of_items = op.filter("with an item", usage, lambda event: event["work_item_id"] is not None)
by_line = op.key_on("line", of_items, lambda e: f"{e['work_item_id']}\t{e['team']}\t{e['tool']}\t{e['model']}")
op.output("lines", op.fold_final("line totals", by_line, lambda: [0, 0, 0, 0], add), Collector("lines"))

by_group = op.key_on("group", usage, lambda e: f"{e['team']}\t{e['tool']}\t{e['model']}")
panes = win.fold_window(
    "pane totals",
    by_group,
    # No event is late for its pane, however late it was sent: all panes close with the topic.
    win.EventClock(lambda e: e["occurred_at"], wait_for_system_duration=timedelta(days=30)),
    win.TumblingWindower(length=timedelta(minutes=5), align_to=EPOCH),
    lambda: [0, 0, 0, 0],
    add,
    merge,
    ordered=False,
)
op.output("panes", panes.down, Collector("panes"))

run_main(flow)
say(records=read)
say(
    records=sum(totals[0] for totals in found["panes"]),
    tokens=sum(totals[1] for totals in found["panes"]),
    lines=len(found["lines"]),
    panes=len(found["panes"]),
    line_tokens=sum(totals[1] for totals in found["lines"]),
    pane_tokens=sum(totals[1] for totals in found["panes"]),
)
