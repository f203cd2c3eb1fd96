"""A record that cannot be used: where it is and why. Never what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "null_value",
    "wrong_magic",
    "unknown_schema",
    "truncated",
    "trailing_bytes",
    "malformed",
    "bad_time",
    "bad_tokens",
    "bad_reasoning",
    "bad_cost",
    "bad_id",
    "bad_text",
    "bad_requests",
    "bad_vocabulary",
    "bad_labels",
    "wrong_partition",
]
"""Why a record was refused. A record that breaks several rules is named after the first, in this order:

null_value       the record has no value (a tombstone)
wrong_magic      the first byte is not 0: not Confluent's wire format
unknown_schema   no usable schema of this event has the id in the header
truncated        the value ends before the event does
trailing_bytes   the event ends before the value does
malformed        the bytes are no Avro datum of the writer's schema
bad_time         occurred_at is before 2015 or more than 5 minutes after the record's append time
bad_tokens       a token count is outside 0..10^9
bad_reasoning    reasoning_tokens exceed output_tokens
bad_cost         the cost is outside 0..10^12 micro-USD
bad_id           an id that must be there is empty, or one is longer than 256 bytes
bad_text         a text is longer than 256 bytes
bad_requests     requests is outside 1..1,000,000
bad_vocabulary   a word that is not in its list
bad_labels       more than 32 labels, or one longer than 64 bytes
wrong_partition  the canonical key belongs to another partition: a foreign partitioner wrote the record
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused record. `detail` names fields, sizes and limits only."""

    topic: str
    partition: int
    offset: int
    appended_at: int
    """Append time, micro-seconds since epoch UTC."""
    reason: Reason
    detail: str
    size_bytes: int
    """Length of the record's value; 0 for a null value."""
