"""What an event must satisfy to count, over whole columns: the first rule that refuses a row names its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.events.bounds import (
    ACTIVITIES,
    AHEAD_OF_APPEND_US,
    COST_BASES,
    EARLIEST_US,
    KINDS,
    LINK_TYPES,
    MAX_COST_MICRO_USD,
    MAX_LABEL_BYTES,
    MAX_LABELS,
    MAX_REQUESTS,
    MAX_TEXT_BYTES,
    MAX_TOKENS,
    TOKEN_FIELDS,
    USAGE_QUALITIES,
)
from streams.events.dead_letter import Reason
from streams.events.schemas import EventName
from streams.events.text_columns import TextColumns
from streams.events.texts import words


@dataclass(frozen=True, slots=True)
class Rule:
    """Refuses the rows for which `refuses` holds. `shown`: the number for the detail; of texts only the size. `spares`: that it refuses no row at
    all, which is seen faster; False where that is not sure."""

    reason: Reason
    refuses: pl.Expr
    shown: pl.Expr
    detail: str
    spares: Callable[[TextColumns], bool] = lambda _: False


def _whole(reason: Reason, field: str, low: int, high: int) -> Rule:
    value = pl.col(field)

    def spares(columns: TextColumns) -> bool:
        least, most = columns.frame[field].min(), columns.frame[field].max()
        return least is None or low <= cast("int", least) <= cast("int", most) <= high

    return Rule(reason, (value < low) | (value > high), value, f"{field} is {{}}, allowed is {low}..{high}", spares)


def _text(reason: Reason, field: str, low: int = 0) -> Rule:
    size = pl.col(field).str.len_bytes().cast(pl.Int64)
    refuses = (size > MAX_TEXT_BYTES) | (size < low) if low else size > MAX_TEXT_BYTES

    def spares(columns: TextColumns) -> bool:
        sizes = columns.texts(field).views[:, 0]
        return not len(sizes) or bool(sizes.max() <= MAX_TEXT_BYTES and (not low or sizes.min() >= low))

    return Rule(reason, refuses, size, f"{field} has {{}} bytes, allowed is {low}..{MAX_TEXT_BYTES}", spares)


def _word(field: str, vocabulary: tuple[str, ...], *, optional: bool = False) -> Rule:
    allowed = ("", *vocabulary) if optional else vocabulary
    size = pl.col(field).str.len_bytes().cast(pl.Int64)
    known = words(*allowed)

    def spares(columns: TextColumns) -> bool:
        return bool((columns.which(field, known) < len(known)).all())

    detail = f"{field} ({{}} bytes) is not one of {', '.join(vocabulary)}"
    return Rule("bad_vocabulary", ~pl.col(field).is_in(allowed), size, detail, spares)


def _time() -> Iterable[Rule]:
    at, appended = pl.col("occurred_at"), pl.col("appended_at")
    yield Rule(
        "bad_time",
        at < EARLIEST_US,
        at,
        "occurred_at is {} micro-seconds, before 2015",
        lambda columns: _all(columns.frame["occurred_at"].to_numpy() >= EARLIEST_US),
    )
    # Compared without a sum: occurred_at may be any 64-bit number here.
    yield Rule(
        "bad_time",
        at > appended + AHEAD_OF_APPEND_US,
        at,
        "occurred_at is {} micro-seconds, more than 5 minutes after the append time",
        lambda columns: _all(
            columns.frame["occurred_at"].to_numpy() <= columns.frame["appended_at"].to_numpy() + AHEAD_OF_APPEND_US
        ),
    )


def _all(held: npt.NDArray[np.bool_]) -> bool:
    return bool(held.all())


def _usage() -> Iterable[Rule]:
    yield from _time()
    yield from (_whole("bad_tokens", field, 0, MAX_TOKENS) for field in TOKEN_FIELDS)
    reasoning = pl.col("reasoning_tokens")
    yield Rule(
        "bad_reasoning",
        reasoning > pl.col("output_tokens"),
        reasoning,
        "reasoning_tokens is {}, more than output_tokens",
        lambda columns: _all(columns.frame["reasoning_tokens"].to_numpy() <= columns.frame["output_tokens"].to_numpy()),
    )
    yield _whole("bad_cost", "cost_micro_usd", 0, MAX_COST_MICRO_USD)
    yield from (_text("bad_id", field, 1) for field in ("event_id", "tenant"))
    yield from (_text("bad_id", field) for field in ("work_item_id", "session_id", "prompt_fingerprint"))
    texts = ("source", "team", "actor", "tool", "provider", "model", "operation", "status")
    yield from (_text("bad_text", field) for field in texts)
    yield _whole("bad_requests", "requests", 1, MAX_REQUESTS)
    yield _word("activity", ACTIVITIES)
    yield _word("usage_quality", USAGE_QUALITIES)
    yield _word("cost_basis", COST_BASES)


def _work_item() -> Iterable[Rule]:
    yield from _time()
    yield from (_text("bad_id", field, 1) for field in ("event_id", "tenant", "work_item_id"))
    yield from (_text("bad_id", field) for field in ("parent_id", "link_value"))
    texts = ("source", "team", "actor", "source_type", "item_type", "resolution")
    yield from (_text("bad_text", field) for field in texts)
    yield _word("kind", KINDS)
    yield _word("link_type", LINK_TYPES, optional=True)
    labels = pl.col("labels")
    count = labels.list.len().cast(pl.Int64)
    yield Rule("bad_labels", count > MAX_LABELS, count, f"{{}} labels, allowed are {MAX_LABELS}")
    longest = labels.list.eval(pl.element().str.len_bytes()).list.max().fill_null(0).cast(pl.Int64)
    yield Rule(
        "bad_labels", longest > MAX_LABEL_BYTES, longest, f"a label has {{}} bytes, allowed are {MAX_LABEL_BYTES}"
    )


RULES: Final[dict[EventName, tuple[Rule, ...]]] = {
    "usage_event": tuple(_usage()),
    "work_item_event": tuple(_work_item()),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused row of the frame that was checked."""

    row: int
    reason: Reason
    detail: str


def refusals(event: EventName, columns: TextColumns) -> list[Refusal]:
    """The rows that break a rule, ascending. `columns`: of the event, '' for absent strings, and appended_at."""
    rules, frame = [rule for rule in RULES[event] if not rule.spares(columns)], columns.frame
    if not rules:
        return []
    broken = frame.select(rule.refuses.any().alias(str(number)) for number, rule in enumerate(rules)).row(0)
    suspects = [rule for rule, refuses in zip(rules, broken, strict=True) if refuses]
    if not suspects:
        return []
    first = pl.coalesce(pl.when(rule.refuses).then(pl.lit(number, pl.Int64)) for number, rule in enumerate(suspects))
    shown = pl.coalesce(pl.when(rule.refuses).then(rule.shown) for rule in suspects)
    found = frame.select(pl.int_range(pl.len()).alias("row"), first.alias("rule"), shown.alias("shown")).drop_nulls(
        "rule"
    )
    return [
        Refusal(row, suspects[rule].reason, suspects[rule].detail.format(value))
        for row, rule, value in found.iter_rows()
    ]
