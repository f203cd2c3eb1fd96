"""The peers' job on Faust as its documentation teaches: python job.py BOOTSTRAP TOPIC RECORDS SCHEMA.

An agent over typed events, a table in memory and a tumbling table, each with its changelog topic. Without `group_by`, which would send every
event through Kafka again and is needed with several workers only. Writes the progress lines of benchmarks/README.md.
"""

from __future__ import annotations

import io
import json
import os
import sys
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import faust
from fastavro import parse_schema, schemaless_reader
from faust.serializers import codecs

BOOTSTRAP, TOPIC, RECORDS, SCHEMA = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
PARSED = parse_schema(json.loads(Path(SCHEMA).read_text(encoding="utf-8")))
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")


class AvroUsage(codecs.Codec):  # type: ignore[misc]
    """Avro behind the Confluent header."""

    def _loads(self, data: bytes) -> Any:
        buffer = io.BytesIO(data)
        buffer.seek(5)
        event: Any = schemaless_reader(buffer, PARSED, None)
        event["occurred_at"] = event["occurred_at"].timestamp()
        return event


codecs.register("avro_usage", AvroUsage())


class Usage(faust.Record, serializer="avro_usage"):  # type: ignore[misc,call-arg]
    """The fields of the event."""

    event_id: str
    occurred_at: float
    tenant: str
    source: str
    team: str
    actor: str
    tool: str
    provider: str
    model: str
    operation: str
    activity: str
    work_item_id: str | None
    session_id: str | None
    prompt_fingerprint: str | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    requests: int
    usage_quality: str
    cost_micro_usd: int | None
    cost_basis: str
    status: str


app = faust.App(
    f"peer-{uuid.uuid4().hex[:8]}",
    broker=f"kafka://{BOOTSTRAP}",
    store="memory://",
    datadir="faust",
    topic_partitions=4,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
)
events = app.topic(TOPIC, key_type=bytes, value_type=Usage)
lines = app.Table("lines", default=lambda: [0, 0, 0, 0])
panes = app.Table("panes", default=lambda: [0, 0, 0, 0]).tumbling(
    timedelta(minutes=5), expires=timedelta(days=3650), key_index=True
)
panes = panes.relative_to_field(Usage.occurred_at)


@app.agent(events)
async def total(stream: Any) -> None:
    """Running totals, one event at a time."""
    read = 0
    async for event in stream:
        tokens = sum(getattr(event, name) for name in TOKENS)
        measures = (1, tokens, event.output_tokens, event.cost_micro_usd or 0)
        group = f"{event.team}\t{event.tool}\t{event.model}"
        if event.work_item_id is not None:
            line = f"{group}\t{event.work_item_id}"
            lines[line] = [a + b for a, b in zip(lines[line], measures, strict=True)]
        panes[group] = [a + b for a, b in zip(panes[group].value(), measures, strict=True)]
        read += 1
        if read in {1, RECORDS} or read % max(RECORDS // 100, 1) == 0:
            say(records=read)
        if read == RECORDS:
            finish()


def finish() -> None:
    """Writes the result and ends."""
    of_lines, of_panes = list(lines.values()), list(panes.table.values())
    tokens = sum(totals[1] for totals in of_panes)
    say(
        records=sum(totals[0] for totals in of_panes), tokens=tokens, lines=len(of_lines), panes=len(of_panes),
        line_tokens=sum(totals[1] for totals in of_lines), pane_tokens=tokens,
    )  # fmt: skip
    os._exit(0)


def say(**line: int) -> None:
    """Write a progress line, past the worker, which turns what is printed into log lines."""
    print(json.dumps(line), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "worker", "--loglevel", "error", "--without-web"]
    app.main()
