"""The least that a worker could do: fetch, decode, insert raw rows, in one thread. No state, no check, no order.

    python job.py BOOTSTRAP TOPIC RECORDS SCHEMA fetch|decode|insert [CLICKHOUSE TABLE]

CLICKHOUSE is http://host:port/database, TABLE one of the shape of usage_events. Writes the progress lines of benchmarks/README.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Consumer, TopicPartition
from pyruhvro import deserialize_array

HEADER_BYTES = 5
FLUSH_ROWS = 100_000
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")


def fetched(bootstrap: str, topic: str, records: int) -> Iterator[list[Any]]:
    """Lists of messages, until `records` were read. Without the back-off librdkafka's queue runs dry for 100 ms whenever it was full."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "limit", "enable.auto.commit": False, "fetch.queue.backoff.ms": 5}
    )
    parts = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, part, 0) for part in parts])
    count = 0
    while count < records:
        messages = consumer.consume(10_000, timeout=1.0)
        count += len(messages)
        if messages:
            yield messages
    consumer.close()


def rows(messages: list[Any], event: pa.RecordBatch) -> pa.Table:
    """Raw rows in the columns of usage_events."""
    columns = {
        "kpart": pa.array([m.partition() for m in messages], pa.uint16()),
        "incarnation": pa.repeat(pa.scalar(0, pa.uint32()), len(messages)),
        "koff": pa.array([m.offset() for m in messages], pa.int64()),
        "version": pa.repeat(pa.scalar(0, pa.uint64()), len(messages)),
        "appended_at": pa.array([m.timestamp()[1] for m in messages], pa.timestamp("ms")),
    }
    for name, column in zip(event.schema.names, event.columns, strict=True):
        columns[name] = pc.fill_null(column, "") if pa.types.is_string(column.type) and column.null_count else column
    return pa.table(columns)


def main() -> None:
    """Run."""
    bootstrap, topic, wanted, schema_file, until, *to = sys.argv[1:]
    schema, records = Path(schema_file).read_text(encoding="utf-8"), int(wanted)
    client: Any = None
    if until == "insert":
        url = urlsplit(to[0])
        client = clickhouse_connect.get_client(
            host=url.hostname,
            port=url.port,
            database=url.path.strip("/"),
            compress=False,
            autogenerate_session_id=False,
        )
    count = tokens = 0
    waiting: list[pa.Table] = []

    def flush() -> None:
        client.insert_arrow(
            to[1], pa.concat_tables(waiting), settings={"async_insert": 0, "output_format_arrow_string_as_string": 1}
        )
        waiting.clear()

    for messages in fetched(bootstrap, topic, records):
        if not count:
            say(records=1)
        count += len(messages)
        values = [m.value() for m in messages]
        if until != "fetch":
            event = deserialize_array([value[HEADER_BYTES:] for value in values], schema)
            tokens += sum(pc.sum(event.column(name)).as_py() for name in TOKENS)
        if until == "insert":
            waiting.append(rows(messages, event))
            if sum(table.num_rows for table in waiting) >= FLUSH_ROWS:
                flush()
        if count < records:
            say(records=count)
    if waiting:
        flush()
    say(records=count)
    say(records=count, **({} if until == "fetch" else {"tokens": tokens}))


def say(**line: int) -> None:
    """Write a progress line."""
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
