"""The acceptance rules of DESIGN.md §4 in plain Python, one record at a time: what the vectorised check must equal."""

from __future__ import annotations

from typing import Any

from streams.events.keys import partition_of, usage_key, work_item_key
from streams.events.schemas import EventName

YEAR_2015_US = 1_420_070_400 * 1_000_000
FIVE_MINUTES_US = 5 * 60 * 1_000_000
TOKENS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
IDS = {
    "usage_event": (("event_id", "tenant"), ("work_item_id", "session_id", "prompt_fingerprint")),
    "work_item_event": (("event_id", "tenant", "work_item_id"), ("parent_id", "link_value")),
}
TEXTS = {
    "usage_event": ("source", "team", "actor", "tool", "provider", "model", "operation", "status"),
    "work_item_event": ("source", "team", "actor", "source_type", "item_type", "resolution"),
}
WORDS = {
    "activity": {"build", "review", "operate", "explore", "automation"},
    "usage_quality": {"full", "partial", "unknown"},
    "cost_basis": {"billed", "list", "estimated", "seat"},
    "kind": {"started", "completed", "reopened", "canceled", "sized", "linked", "reclassified", "deleted", "moved"},
    "link_type": {
        *("", "implements", "closes", "subtask_of", "reverts", "caused_by", "duplicates", "commit", "branch"),
        "session",
    },
}


def refused_for(event: EventName, fields: dict[str, Any], appended_at: int) -> str | None:
    """The reason why the worker must refuse these fields, or None."""
    if not YEAR_2015_US <= fields["occurred_at"] <= appended_at + FIVE_MINUTES_US:
        return "bad_time"
    if event == "usage_event":
        if any(not 0 <= fields[name] <= 10**9 for name in TOKENS):
            return "bad_tokens"
        if fields["reasoning_tokens"] > fields["output_tokens"]:
            return "bad_reasoning"
        if fields["cost_micro_usd"] is not None and not 0 <= fields["cost_micro_usd"] <= 10**12:
            return "bad_cost"
    required, optional = IDS[event]
    if any(not 1 <= _size(fields[name]) <= 256 for name in required) or any(
        _size(fields[name]) > 256 for name in optional
    ):
        return "bad_id"
    if any(_size(fields[name]) > 256 for name in TEXTS[event]):
        return "bad_text"
    if event == "usage_event" and not 1 <= fields["requests"] <= 10**6:
        return "bad_requests"
    if any((fields[name] or "") not in WORDS[name] for name in WORDS if name in fields):
        return "bad_vocabulary"
    if event == "work_item_event" and (
        len(fields["labels"]) > 32 or any(_size(text) > 64 for text in fields["labels"])
    ):
        return "bad_labels"
    return None


def key_of(event: EventName, fields: dict[str, Any]) -> str:
    """The canonical key."""
    if event == "work_item_event":
        return work_item_key(fields["tenant"], fields["work_item_id"])
    return usage_key(fields["tenant"], fields["event_id"], fields["work_item_id"], fields["session_id"])


def in_partition(event: EventName, fields: dict[str, Any], partition: int, partitions: int) -> bool:
    """Whether the record belongs where it lies."""
    return partition_of(key_of(event, fields), partitions) == partition


def row_of(event: EventName, fields: dict[str, Any]) -> dict[str, Any]:
    """The decoded row of an accepted event."""
    row = {name: "" if value is None and name != "cost_micro_usd" else value for name, value in fields.items()}
    if event == "work_item_event":
        size = fields["size_milli"]
        row["size_milli"] = size if size is not None and 1 <= size <= 10**6 else 0
    return row


def _size(text: str | None) -> int:
    return len((text or "").encode())
