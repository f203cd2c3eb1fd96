"""The peers' job on Pathway: python job.py BOOTSTRAP TOPIC RECORDS SCHEMA. Writes the progress lines of benchmarks/README.md."""

from __future__ import annotations

import io
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

os.environ["PATHWAY_THREADS"] = "1"

import pathway as pw
from fastavro import parse_schema, schemaless_reader

BOOTSTRAP, TOPIC, RECORDS, SCHEMA = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
PARSED = parse_schema(json.loads(Path(SCHEMA).read_text(encoding="utf-8")))
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")
PANE_US = 300_000_000

read = 0
lines: dict[Any, tuple[int, int]] = {}
panes: dict[Any, tuple[int, int]] = {}


def say(**line: int) -> None:
    """Write a progress line."""
    print(json.dumps(line), flush=True)


def decode(data: bytes) -> tuple[str, str, str, str, int, int, int, int]:
    """Item, team, tool, model, pane, tokens, output tokens, cost."""
    global read  # noqa: PLW0603
    read += 1
    if read == 1 or (read % max(RECORDS // 100, 1) == 0 and read < RECORDS):
        say(records=read)
    buffer = io.BytesIO(data)
    buffer.seek(5)
    event: Any = schemaless_reader(buffer, PARSED, None)
    return (
        event["work_item_id"] or "",
        event["team"],
        event["tool"],
        event["model"],
        int(event["occurred_at"].timestamp() * 1e6 + 0.5) // PANE_US,
        sum(event[name] for name in TOKENS),
        event["output_tokens"],
        event["cost_micro_usd"] or 0,
    )


class Usage(pw.Schema):
    """What a total needs of an event."""

    item: str
    team: str
    tool: str
    model: str
    pane: int
    tokens: int
    output_tokens: int
    cost_micro_usd: int


def keep(into: dict[Any, tuple[int, int]]) -> Any:
    """A subscriber that keeps the latest totals of each key."""

    def on_change(key: pw.Pointer[Any], row: dict[str, Any], time: int, is_addition: bool) -> None:
        if is_addition:
            into[key] = row["events"], row["tokens"]

    return on_change


def finish(time: int) -> None:
    """Ends the process once the panes hold everything: a stream has no end."""
    if sum(events for events, _ in panes.values()) == RECORDS == sum(e for e, _ in lines.values()) + without_item[0]:
        say(records=RECORDS)
        tokens = sum(of for _, of in panes.values())
        say(
            records=RECORDS, tokens=tokens, lines=len(lines), panes=len(panes), line_tokens=sum(of for _, of in lines.values()), pane_tokens=tokens,
        )  # fmt: skip
        os._exit(0)


without_item = [0]


def count_without(key: pw.Pointer[Any], row: dict[str, Any], time: int, is_addition: bool) -> None:
    """Events that have no line."""
    if is_addition:
        without_item[0] = row["events"]


raw = pw.io.kafka.read(
    {"bootstrap.servers": BOOTSTRAP, "group.id": f"peer-{uuid.uuid4()}", "auto.offset.reset": "earliest"},
    topic=TOPIC,
    format="raw",
    autogenerate_key=True,
    autocommit_duration_ms=1000,
)
usage = raw.select(fields=pw.apply(decode, pw.this.data))
usage = pw.utils.col.unpack_col(usage.fields, schema=Usage)
SUMS: Any = {
    "events": pw.reducers.count(),
    "tokens": pw.reducers.sum(pw.this.tokens),
    "output_tokens": pw.reducers.sum(pw.this.output_tokens),
    "cost_micro_usd": pw.reducers.sum(pw.this.cost_micro_usd),
}
of_items = usage.filter(pw.this.item != "")
pw.io.subscribe(
    of_items.groupby(pw.this.item, pw.this.team, pw.this.tool, pw.this.model).reduce(**SUMS),
    keep(lines),
    on_time_end=finish,
)
pw.io.subscribe(usage.filter(pw.this.item == "").reduce(events=pw.reducers.count()), count_without, on_time_end=finish)
pw.io.subscribe(
    usage.groupby(pw.this.team, pw.this.tool, pw.this.model, pw.this.pane).reduce(**SUMS),
    keep(panes),
    on_time_end=finish,
)
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
