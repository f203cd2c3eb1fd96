"""Usage events of the demo: each session's requests with their tokens, scaled so that a team's spend comes out as planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from streams.local.traffic.company import TENANT, Company
from streams.local.traffic.models import MODELS, TOOLS
from streams.local.traffic.rhythm import Floats, Ints
from streams.value.prices import BUCKETS, PriceBook

USAGE_COLUMNS: Final[dict[str, Any]] = {
    "event_id": pl.String,
    "occurred_at": pl.Int64,
    "tenant": pl.String,
    "source": pl.String,
    "team": pl.String,
    "actor": pl.String,
    "tool": pl.String,
    "provider": pl.String,
    "model": pl.String,
    "operation": pl.String,
    "activity": pl.String,
    "work_item_id": pl.String,
    "session_id": pl.String,
    "prompt_fingerprint": pl.String,
    "input_tokens": pl.Int64,
    "cache_read_tokens": pl.Int64,
    "cache_write_5m_tokens": pl.Int64,
    "cache_write_1h_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "reasoning_tokens": pl.Int64,
    "requests": pl.Int64,
    "usage_quality": pl.String,
    "cost_micro_usd": pl.Int64,
    "cost_basis": pl.String,
    "status": pl.String,
}
"""Fields of schemas/usage_event/1.avsc, in its order; null where absent."""

_MAX_CONTEXT: Final = 175_000
_HEX: Final = 16


def usage_events(company: Company, sessions: pl.DataFrame, budgets: Mapping[str, float], events: int) -> pl.DataFrame:
    """Exactly `events` rows, columns USAGE_COLUMNS, by session; all before the end of the traffic."""
    rng, end_us = company.rng, company.end_us
    share = np.cumsum(sessions["weight"].to_numpy())
    counts = np.diff(np.floor(share / share[-1] * events + 0.5).astype(np.int64), prepend=0)
    of = np.repeat(np.arange(len(sessions)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    nth: Ints = np.arange(events) - first
    per_session = {
        name: sessions[name].to_numpy()[of] for name in ("team", "tool", "model", "start_us", "length_us", "bloat")
    }
    steps = rng.exponential(1.0, events)
    run = np.cumsum(steps)
    into = run - (run - steps)[first]
    whole = (into[np.cumsum(counts)[counts > 0] - 1] if events else into).repeat(counts[counts > 0])
    at = per_session["start_us"] + (per_session["length_us"] * into / whole).astype(np.int64)
    at = np.where(at >= end_us, 2 * end_us - at - 1, at)

    tokens = _tokens(rng, per_session["model"], of, nth, len(sessions))
    frame = pl.DataFrame(
        {**tokens, "occurred_at": at, "session": of, "nth": nth, "bloat": per_session["bloat"]}
    ).with_columns(
        _name("model", [m.name for m in MODELS], per_session["model"]),
        sessions["quality"].gather(of).alias("usage_quality"),
        sessions["budget"].gather(of).alias("budget"),
    )
    frame = _scale(frame, budgets)
    book = PriceBook.shipped()
    frame = frame.with_columns(standard=book.standard_cost(frame)[0])
    return _finish(company, frame, sessions, per_session, of).select(USAGE_COLUMNS.keys())


def _tokens(rng: np.random.Generator, model: Ints, of: Ints, nth: Ints, sessions: int) -> dict[str, Ints]:
    """A context that grows with each request of a session and is read from the cache; new text is written to it or is plain input."""
    count = len(of)
    begin = np.clip(rng.lognormal(10.45, 0.5, sessions), 4_000, 110_000)[of]
    growth = np.clip(rng.lognormal(7.35, 0.5, sessions), 100, 8_000)[of]
    hour_cache = (rng.random(sessions) < 0.12)[of]
    context: Floats = np.minimum(begin + growth * nth, _MAX_CONTEXT)
    fresh: Floats = np.where(nth == 0, begin, growth * rng.uniform(0.6, 1.4, count))
    cached: Floats = np.where(nth == 0, 0.0, context - growth)
    prompt = rng.lognormal(4.6, 0.7, count)
    output: Floats = np.clip(rng.lognormal(5.9, 0.8, count), 8, 16_000)
    writes = np.array([m.caches for m in MODELS])[model]
    reasons = np.array([m.reasons for m in MODELS])[model] * rng.uniform(0.3, 1.0, count)
    return {
        "input_tokens": (prompt + np.where(writes, 0.0, fresh)).astype(np.int64),
        "cache_read_tokens": np.maximum(cached, 0).astype(np.int64),
        "cache_write_5m_tokens": np.where(writes & ~hour_cache, fresh, 0).astype(np.int64),
        "cache_write_1h_tokens": np.where(writes & hour_cache, fresh, 0).astype(np.int64),
        "output_tokens": output.astype(np.int64),
        "reasoning_tokens": (output * reasons).astype(np.int64),
    }


def _scale(frame: pl.DataFrame, budgets: Mapping[str, float]) -> pl.DataFrame:
    """Tokens such that each budget's standard cost comes to its sum, before bloat. Where few events stand for much spend, each reports a run
    of several requests."""
    book = PriceBook.shipped()
    # As if all usage were known: the plan is what was spent, not what is known of it.
    cost = book.standard_cost(frame.with_columns(usage_quality=pl.lit("full")))[0]
    spent = frame.select("budget", cost.alias("cost")).group_by("budget").agg(pl.col("cost").sum())
    factors = {name: budgets[name] * 1e6 / max(total, 1) for name, total in spent.iter_rows()}
    ordinary = [f for name, f in factors.items() if ":" not in name]
    requests = max(1, round(float(np.median(ordinary)))) if ordinary else 1
    factor = pl.col("budget").replace_strict(factors, return_dtype=pl.Float64) * pl.col("bloat")
    tokens = (*BUCKETS, "reasoning_tokens")
    return frame.with_columns(
        *((pl.col(name) * factor).floor().cast(pl.Int64) for name in tokens), requests=pl.lit(requests, pl.Int64)
    )


def _finish(
    company: Company, frame: pl.DataFrame, sessions: pl.DataFrame, per_session: Mapping[str, Ints], of: Ints
) -> pl.DataFrame:
    rng, actors = company.rng, company.actors
    count = len(frame)
    tool, model = per_session["tool"], per_session["model"]
    people = np.array([len(of_team) for of_team in actors])
    base = np.cumsum(people) - people
    person = (base[sessions["team"].to_numpy()] + sessions["person"].to_numpy())[of]
    billed = np.array([np.nan if t.billed is None else t.billed for t in TOOLS])[tool]
    silent = np.isnan(billed) | (rng.random(count) < 0.012)
    cost = (frame["standard"].to_numpy() * np.nan_to_num(billed) + 0.5).astype(np.int64)
    unknown = pl.col("usage_quality") == "unknown"
    prints = hex_ids(rng, len(sessions)).gather(of)
    loop = pl.col("budget").str.ends_with(":agent_loop")
    # An agent in a loop sends the same few prompts again; in ordinary work a prompt comes back now and then.
    prompt = pl.format("{}{}", prints.str.slice(0, 11), pl.when(loop).then(pl.col("nth") % 3).otherwise(pl.col("nth")))
    shown = pl.Series("shown", (rng.random(count) < 0.2) | (rng.random(len(sessions)) < 0.01)[of])
    item = sessions["item"].replace("", None).gather(of)
    return frame.with_columns(
        hex_ids(rng, count).alias("event_id"),
        pl.lit(TENANT).alias("tenant"),
        _name("source", [t.source for t in TOOLS], tool),
        _name("team", [t.name for t in company.teams], per_session["team"]),
        _name("actor", [name for of_team in actors for name in of_team], person),
        _name("tool", [t.name for t in TOOLS], tool),
        _name("provider", [m.provider for m in MODELS], model),
        pl.lit("chat").alias("operation"),
        sessions["activity"].gather(of).alias("activity"),
        item.alias("work_item_id"),
        hex_ids(rng, len(sessions)).gather(of).alias("session_id"),
        pl.when(loop | shown).then(prompt).alias("prompt_fingerprint"),
        *(pl.when(unknown).then(0).otherwise(pl.col(name)).alias(name) for name in (*BUCKETS, "reasoning_tokens")),
        pl.when(pl.Series(silent) | unknown).then(None).otherwise(pl.Series(cost)).alias("cost_micro_usd"),
        _name("cost_basis", [t.basis for t in TOOLS], tool),
        _name("status", ["ok", "error"], (rng.random(count) < 0.013).astype(np.int64)),
    )


def hex_ids(rng: np.random.Generator, count: int) -> pl.Series:
    """`count` random ids of 16 hexadecimal digits."""
    digits = rng.bytes(count * _HEX // 2).hex().encode()
    offsets = np.arange(0, (count + 1) * _HEX, _HEX, dtype=np.int64)
    strings = pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets.tobytes()), pa.py_buffer(digits))
    return pl.Series(strings)


def _name(column: str, names: Sequence[str], which: Ints) -> pl.Series:
    return pl.Series(column, list(names), pl.String).gather(which)
