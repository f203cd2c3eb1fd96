"""Decoded frames from plain event dicts, as the decoder would make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import xxhash

USAGE_SCHEMA: dict[str, Any] = {
    "event_id": pl.String, "occurred_at": pl.Int64, "tenant": pl.String, "source": pl.String, "team": pl.String, "actor": pl.String,
    "tool": pl.String, "provider": pl.String, "model": pl.String, "operation": pl.String, "activity": pl.String,
    "work_item_id": pl.String, "session_id": pl.String, "prompt_fingerprint": pl.String, "input_tokens": pl.Int64,
    "cache_read_tokens": pl.Int64, "cache_write_5m_tokens": pl.Int64, "cache_write_1h_tokens": pl.Int64, "output_tokens": pl.Int64,
    "reasoning_tokens": pl.Int64, "requests": pl.Int64, "usage_quality": pl.String, "cost_micro_usd": pl.Int64,
    "cost_basis": pl.String, "status": pl.String, "offset": pl.Int64, "appended_at": pl.Int64,
}  # fmt: skip
ITEM_SCHEMA: dict[str, Any] = {
    "event_id": pl.String, "occurred_at": pl.Int64, "tenant": pl.String, "source": pl.String, "work_item_id": pl.String,
    "kind": pl.String, "team": pl.String, "actor": pl.String, "source_type": pl.String, "item_type": pl.String,
    "size_milli": pl.Int64, "labels": pl.List(pl.String), "parent_id": pl.String, "link_type": pl.String, "link_value": pl.String,
    "resolution": pl.String, "offset": pl.Int64, "appended_at": pl.Int64,
}  # fmt: skip

_OPTIONAL = (
    "work_item_id",
    "session_id",
    "prompt_fingerprint",
    "actor",
    "parent_id",
    "link_type",
    "link_value",
    "resolution",
)


def item_hash(tenant: str, work_item_id: str) -> int:
    """As ClickHouse makes it of a stored item."""
    return xxhash.xxh64_intdigest(f"{tenant}/{work_item_id}".encode())


def usage_frame(events: Sequence[dict[str, Any]], offset: int = 0) -> pl.DataFrame:
    """Usage events at consecutive offsets."""
    rows = [
        _present(e)
        | {
            "offset": offset + i,
            "appended_at": e["occurred_at"],
        }
        for i, e in enumerate(events)
    ]
    return pl.DataFrame(rows, schema=USAGE_SCHEMA)


def item_frame(events: Sequence[dict[str, Any]], offset: int = 0) -> pl.DataFrame:
    """Work-item events at consecutive offsets; a size out of range is no size."""
    rows = []
    for i, e in enumerate(events):
        size = e["size_milli"] or 0
        row = _present(e) | {"size_milli": size if 1 <= size <= 1_000_000 else 0, "labels": list(e["labels"])}
        rows.append(row | {"offset": offset + i, "appended_at": e["occurred_at"]})
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def _present(event: dict[str, Any]) -> dict[str, Any]:
    return event | {name: event[name] or "" for name in _OPTIONAL if name in event}
