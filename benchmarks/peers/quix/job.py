"""The peers' job on Quix Streams: python job.py BOOTSTRAP TOPIC RECORDS SCHEMA. Writes the progress lines of benchmarks/README.md.

State and windows are those of the message key, which names the work item: `group_by` would send every event through Kafka again as JSON.
"""

from __future__ import annotations

import io
import json
import sys
import uuid
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from fastavro import parse_schema, schemaless_reader
from quixstreams import Application, State
from quixstreams.models import Deserializer

BOOTSTRAP, TOPIC, RECORDS, SCHEMA = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
PARSED = parse_schema(json.loads(Path(SCHEMA).read_text(encoding="utf-8")))
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")

read = 0
lines: dict[tuple[Any, str], list[int]] = {}
panes: dict[tuple[Any, int], dict[str, list[int]]] = {}


def say(**line: int) -> None:
    """Write a progress line."""
    print(json.dumps(line), flush=True)


class Avro(Deserializer):
    """Avro behind the Confluent header; of the event only what the totals need, as every branch copies its values."""

    def __call__(self, value: bytes, ctx: Any) -> dict[str, Any]:
        buffer = io.BytesIO(value)
        buffer.seek(5)
        event: Any = schemaless_reader(buffer, PARSED, None)
        return {
            "item": event["work_item_id"],
            "at_ms": int(event["occurred_at"].timestamp() * 1000),
            "group": f"{event['team']}\t{event['tool']}\t{event['model']}",
            "measures": [1, sum(event[name] for name in TOKENS), event["output_tokens"], event["cost_micro_usd"] or 0],
        }


def occurred_ms(event: dict[str, Any], headers: Any, timestamp: float, timestamp_type: Any) -> int:
    """Event time, which decides on the window."""
    return int(event["at_ms"])


def plus(a: list[int] | None, b: list[int]) -> list[int]:
    """The sum of two totals."""
    return b if a is None else [x + y for x, y in zip(a, b, strict=True)]


def add_to_line(event: dict[str, Any], key: bytes, timestamp: int, headers: Any, state: State) -> None:
    """Running totals of a line."""
    total = plus(state.get(event["group"]), event["measures"])
    state.set(event["group"], total)
    lines[key, event["group"]] = total


def add_to_pane(totals: dict[str, list[int]], event: dict[str, Any]) -> dict[str, list[int]]:
    """Totals by group within one window of one message key."""
    totals[event["group"]] = plus(totals.get(event["group"]), event["measures"])
    return totals


def keep(window: dict[str, Any], key: bytes, timestamp: int, headers: Any) -> None:
    """Keeps the latest totals of a window and ends with the last record."""
    global read  # noqa: PLW0603
    panes[key, window["start"]] = window["value"]
    read += 1
    if read in {1, RECORDS} or read % max(RECORDS // 100, 1) == 0:
        say(records=read)
    if read == RECORDS:
        app.stop()


app = Application(
    broker_address=BOOTSTRAP,
    consumer_group=f"peer-{uuid.uuid4()}",
    auto_offset_reset="earliest",
    state_dir="state",
    use_changelog_topics=False,
    loglevel="ERROR",
)
usage = app.dataframe(app.topic(TOPIC, value_deserializer=Avro(), timestamp_extractor=occurred_ms))
usage[usage["item"].notnull()].update(add_to_line, stateful=True, metadata=True)
usage.tumbling_window(timedelta(minutes=5), grace_ms=timedelta(days=30)).reduce(
    add_to_pane, lambda event: add_to_pane({}, event)
).current().update(keep, metadata=True)
app.run()

merged: Counter[tuple[str, int]] = Counter()
for (_, start), by_group in panes.items():
    for group, totals in by_group.items():
        merged[group, start] += totals[1]
say(
    records=sum(totals[0] for by_group in panes.values() for totals in by_group.values()),
    tokens=sum(merged.values()),
    lines=len(lines),
    panes=len(merged),
    line_tokens=sum(totals[1] for totals in lines.values()),
    pane_tokens=sum(merged.values()),
)
