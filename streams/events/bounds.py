"""What a value in an event may be: the same limits for the publisher's typed events and the worker's check."""

from __future__ import annotations

from typing import Final

EARLIEST_US: Final = 1_420_070_400_000_000
"""2015-01-01T00:00:00Z: no AI usage worth joining is older, and a clock that was never set says 1970."""
AHEAD_OF_APPEND_US: Final = 300_000_000
"""How far occurred_at may lie after its record's append time: honest clocks differ by minutes at most."""

MAX_TOKENS: Final = 1_000_000_000
MAX_COST_MICRO_USD: Final = 1_000_000_000_000
MAX_REQUESTS: Final = 1_000_000
MAX_SIZE_MILLI: Final = 1_000_000
MAX_TEXT_BYTES: Final = 256
MAX_LABELS: Final = 32
MAX_LABEL_BYTES: Final = 64

TOKEN_FIELDS: Final = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)

ACTIVITIES: Final = ("build", "review", "operate", "explore", "automation")
USAGE_QUALITIES: Final = ("full", "partial", "unknown")
COST_BASES: Final = ("billed", "list", "estimated", "seat")
KINDS: Final = ("started", "completed", "reopened", "canceled", "sized", "linked", "reclassified", "deleted", "moved")
LINK_TYPES: Final = (
    "implements",
    "closes",
    "subtask_of",
    "reverts",
    "caused_by",
    "duplicates",
    "commit",
    "branch",
    "session",
)
