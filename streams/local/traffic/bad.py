"""Records that no worker can use, one of each kind that the world sends: each must end as a dead letter, and nothing around it be lost."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any, Final

import polars as pl

from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.events.keys import partition_of, usage_key, work_item_key
from streams.events.schemas import shipped_id
from streams.events.wire import HEADER_BYTES, pack_header
from streams.local.traffic.usage import USAGE_COLUMNS
from streams.publish.columns import Record, encode
from streams.windows.measures import DAY_US

BAD_RECORDS: Final = 21
_SPOILT: Final[dict[str, dict[str, Any]]] = {
    "bad_tokens": {"output_tokens": -5},
    "bad_reasoning": {"output_tokens": 10, "reasoning_tokens": 11},
    "bad_time": {"occurred_at": 0},
    "bad_id": {"event_id": ""},
    "bad_cost": {"cost_micro_usd": -1},
    "bad_requests": {"requests": 0},
}
_KINDS: Final = (
    "null_value",
    "wrong_magic",
    "unknown_schema",
    "truncated",
    "trailing_bytes",
    *_SPOILT,
    "far_future",
    "huge_id",
    "unknown_kind",
    "wrong_partition",
)


def bad_records(usage: pl.DataFrame, items: pl.DataFrame, partitions: int) -> list[tuple[int, Record]]:
    """(time of publishing in micro-seconds, record), made by spoiling events of the traffic, which stay in it unspoilt."""
    if usage.is_empty() or items.is_empty():
        return []
    out = []
    every = max(len(usage) // BAD_RECORDS, 1)
    for number, kind in enumerate(islice(cycle(_KINDS), BAD_RECORDS)):
        row = usage.row((number * every + every // 2) % len(usage), named=True) | {
            "event_id": f"bad-{number}",
            "work_item_id": None,
        }
        out.append((row["occurred_at"], _spoil(kind, number, row, items, partitions)))
    return out


def _spoil(kind: str, number: int, row: dict[str, Any], items: pl.DataFrame, partitions: int) -> Record:
    if kind == "unknown_kind":
        event = items.row(number, named=True) | {"event_id": f"bad-{number}", "kind": "celebrated"}
        key = work_item_key(event["tenant"], event["work_item_id"])
        return Record(
            ITEMS_TOPIC, key.encode(), encode(pl.DataFrame([event], schema=items.schema), "work_item_event")[0]
        )
    spoilt = dict(_SPOILT.get(kind, {}))
    if kind == "far_future":
        spoilt["occurred_at"] = row["occurred_at"] + 3650 * DAY_US
    if kind == "huge_id":
        spoilt["event_id"] = "x" * 100_000
    row |= spoilt
    key = usage_key(row["tenant"], row["event_id"], row["work_item_id"], row["session_id"])
    value = encode(pl.DataFrame([row], schema=USAGE_COLUMNS), "usage_event")[0]
    partition = (partition_of(key, partitions) + 1) % partitions if kind == "wrong_partition" else None
    if kind == "wrong_partition" and partitions == 1:
        kind = "truncated"
    damaged: dict[str, bytes | None] = {
        "null_value": None,
        "wrong_magic": b"\x01" + value[1:],
        "unknown_schema": pack_header(shipped_id("usage_event") + 4_000_000) + value[HEADER_BYTES:],
        "truncated": value[:-7],
        "trailing_bytes": value + b"\x00\x01",
    }
    return Record(USAGE_TOPIC, key.encode(), damaged.get(kind, value), partition)
