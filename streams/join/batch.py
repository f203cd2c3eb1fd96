"""What a batch of usage adds: totals per ledger line and per pane, and the actors of each pane. Vectorised, without state."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import polars as pl
import xxhash

from streams.value.prices import PriceBook
from streams.windows.measures import DAY_US, PANE_US, TOKEN_BUCKETS

ITEM_KEY: Final = ["tenant", "work_item_id"]
LINE_KEY: Final = ["tenant", "work_item_id", "usage_day", "team", "tool", "model"]
PANE_KEY: Final = ["tenant", "team", "tool", "model", "pane_start"]
ACTOR_KEY: Final = [*PANE_KEY, "actor_hash"]
PROMPT_KEY: Final = [*PANE_KEY, "key", "actor", "prompt_fingerprint"]
ENABLING: Final = ["review", "operate", "explore"]

_COUNTED: Final = [*TOKEN_BUCKETS, "reasoning_tokens"]


def priced_usage(usage: pl.DataFrame, prices: PriceBook) -> pl.DataFrame:
    """Usage with tokens, standard cost and the flags that the totals need; of unknown usage everything but the requests is 0."""
    cost, priced = prices.standard_cost(usage)
    usage = usage.with_columns(
        pane_start(), standard_cost_micro_usd=cost, priced=priced, reported=pl.col("cost_micro_usd").fill_null(0)
    )
    if (usage["usage_quality"] == "unknown").any():
        known = pl.col("usage_quality") != "unknown"
        usage = usage.with_columns(pl.when(known).then(pl.col(*_COUNTED, "reported")).otherwise(0))
    return usage.with_columns(tokens=pl.sum_horizontal(TOKEN_BUCKETS))


def pane_start() -> pl.Expr:
    """Start of the base pane of an event, us."""
    return (pl.col("occurred_at") // PANE_US * PANE_US).alias("pane_start")


def line_totals(usage: pl.DataFrame) -> pl.DataFrame:
    """Totals per ledger line: LINE_KEY, LINE_MEASURES, last_at."""
    quality, requests = pl.col("usage_quality"), pl.col("requests")
    billed = pl.col("cost_basis") == "billed"
    return (
        usage.filter(pl.col("work_item_id") != "")
        .with_columns(usage_day=pl.col("occurred_at") // DAY_US)
        .group_by(LINE_KEY, maintain_order=True)
        .agg(
            requests.sum(),
            *_sums(),
            known_requests=requests.filter(quality != "unknown").sum(),
            incomplete_events=(quality != "full").sum().cast(pl.Int64),
            cost_micro_usd=pl.col("reported").filter(billed).sum(),
            other_cost_micro_usd=pl.col("reported").filter(~billed).sum(),
            last_at=pl.col("occurred_at").max(),
        )
    )


def pane_totals(usage: pl.DataFrame) -> pl.DataFrame:
    """Totals per base pane: PANE_KEY, USAGE_MEASURES."""
    quality, requests = pl.col("usage_quality"), pl.col("requests")
    billed = pl.col("cost_basis") == "billed"
    no_item = pl.col("work_item_id") == ""
    enabling = no_item & pl.col("activity").is_in(ENABLING)
    unattributed = no_item & ~pl.col("activity").is_in(ENABLING)
    by_fate = [
        pl.col(name).filter(fate).sum().alias(f"{prefix}_{name}")
        for prefix, fate in (("unattributed", unattributed), ("enabling", enabling))
        for name in ("requests", "tokens", "standard_cost_micro_usd")
    ]
    return usage.group_by(PANE_KEY, maintain_order=True).agg(
        requests.sum(),
        *_sums(),
        *by_fate,
        failed_requests=requests.filter(pl.col("status") != "ok").sum(),
        partial_requests=requests.filter(quality == "partial").sum(),
        unknown_requests=requests.filter(quality == "unknown").sum(),
        unpriced_requests=requests.filter(~pl.col("priced")).sum(),
        requests_without_cost=requests.filter(pl.col("cost_micro_usd").is_null()).sum(),
        cost_micro_usd=pl.col("reported").filter(billed).sum(),
        other_cost_micro_usd=pl.col("reported").filter(~billed).sum(),
        repeated_prompts=requests.filter(pl.col("prompt_fingerprint") != "").sum() - pl.col("first_prompt").sum(),
    )


def actors(usage: pl.DataFrame) -> pl.DataFrame:
    """The distinct actors of each pane: ACTOR_KEY."""
    distinct = usage.filter(pl.col("actor") != "").select(*PANE_KEY, "actor").unique(maintain_order=True)
    names = distinct["actor"].unique()
    hashes = pl.DataFrame(
        {"actor": names, "actor_hash": pl.Series([_actor_hash(name) for name in names], dtype=pl.UInt64)}
    )
    return distinct.join(hashes, on="actor", maintain_order="left").select(ACTOR_KEY)


@lru_cache(maxsize=1 << 16)
def _actor_hash(actor: str) -> int:
    """xxHash64 of the UTF-8 bytes: the same as ClickHouse's, because it is stored."""
    return xxhash.xxh64_intdigest(actor.encode())


def _sums() -> list[pl.Expr]:
    return [pl.col(name).sum() for name in (*_COUNTED, "tokens", "standard_cost_micro_usd")]
