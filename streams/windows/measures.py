"""The measures of a pane and of a window: Int64 sums, in the order of their columns everywhere (DESIGN.md §6)."""

from __future__ import annotations

from typing import Final

TOKEN_BUCKETS: Final = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
)

USAGE_MEASURES: Final = (
    "requests",
    "failed_requests",
    "partial_requests",
    "unknown_requests",
    "unpriced_requests",
    "requests_without_cost",
    *TOKEN_BUCKETS,
    "reasoning_tokens",
    "tokens",
    "standard_cost_micro_usd",
    "cost_micro_usd",
    "other_cost_micro_usd",
    "unattributed_requests",
    "unattributed_tokens",
    "unattributed_standard_cost_micro_usd",
    "enabling_requests",
    "enabling_tokens",
    "enabling_standard_cost_micro_usd",
    "repeated_prompts",
)

OUTCOME_MEASURES: Final = (
    "items_completed",
    "items_assisted",
    "items_assisted_unknown",
    "items_lightly_assisted",
    "items_unassisted",
    "items_closed_without_work",
    "items_reopened",
    "items_canceled",
    "value_credited_milli",
    "value_debited_milli",
    "assisted_value_credited_milli",
    "assisted_value_debited_milli",
    "matched_tokens_credited",
    "matched_tokens_debited",
    "matched_standard_cost_micro_usd_credited",
    "matched_standard_cost_micro_usd_debited",
    "abandoned_tokens_booked",
    "abandoned_tokens_reversed",
    "abandoned_standard_cost_micro_usd_booked",
    "abandoned_standard_cost_micro_usd_reversed",
)

MEASURES: Final = (*USAGE_MEASURES, *OUTCOME_MEASURES)

LINE_MEASURES: Final = (
    "requests",
    "known_requests",
    "incomplete_events",
    *TOKEN_BUCKETS,
    "reasoning_tokens",
    "tokens",
    "standard_cost_micro_usd",
    "cost_micro_usd",
    "other_cost_micro_usd",
)
"""Sums of a ledger line. `known_requests`: requests whose quality is not unknown; `incomplete_events`: events whose quality is not full."""

PANE_US: Final = 300_000_000
DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
