"""What `replay --compare` adds: waits until workers have applied everything, then compares models by what a completed item cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import typer

from streams.cli.output import Column, Row, count, moment, percent, print_table, text, usd
from streams.cli.progress import counting
from streams.errors import SetupError

if TYPE_CHECKING:
    from streams.config import Settings

_POLL_S: Final = 0.25
_UNKNOWN: Final = "-"
_STANDSTILL: Final = "no worker has applied a record for {wait_s:g} s, and {waiting:,} of {total:,} wait; {last}"

Rows = list[dict[str, Any]]
Compared = tuple[Rows, Row | None]
"""A row per team, tool and model, within a team the cheapest completed item first; and one of all, None when no item has usage."""


def compare_models(settings: Settings, tenant: str, wait_s: float) -> Compared:
    """Wait until workers have applied everything that was published, then tell what the items of a tenant have cost.

    Raises SetupError when for `wait_s` no worker has applied a record, and what connecting raises.
    """
    from streams.store.client import connect  # noqa: PLC0415 - keeps --help instant
    from streams.store.reading import read  # noqa: PLC0415

    client = connect(settings.clickhouse)
    try:
        _await_applied(settings, client, wait_s)
        rows = read(client, "results/replayed_models", tenant=tenant).to_dicts()
    finally:
        client.close()
    return [row for row in rows if not row["is_total"]], next((row for row in rows if row["is_total"]), None)


def print_comparison(models: Rows, total: Row | None, tenant: str) -> None:
    """A table per team, for one team's items are other work than another's; then what the figures cover and what they do not."""
    if total is None:
        typer.echo(
            f"models are not compared: no item of tenant {tenant} has usage, or its teams are below the privacy floor"
        )
        return
    teams = list(dict.fromkeys(row["team"] for row in models))
    for team in teams:
        rows = [row for row in models if row["team"] == team]
        print_table(rows, _COLUMNS, title=f"{team or '(no team)'}: models by what each completed item cost")
    for line in _coverage(models, total, tenant):
        typer.echo(line)


def _mtok(tokens: int | None) -> str:
    return _UNKNOWN if tokens is None else f"{tokens / 1e6:,.1f}"


def _sum(micro_usd: int | None) -> str:
    return usd(micro_usd) or _UNKNOWN


def _each(micro_usd: float | None) -> str:
    return _UNKNOWN if micro_usd is None else f"${micro_usd / 1e6:,.3f}"


_COLUMNS: Final[list[Column]] = [
    ("tool", "tool", text),
    ("model", "model", text),
    ("items", "items", count),
    ("completed", "completed", count),
    ("canceled", "canceled", count),
    ("unknown", "unknown_items", count),
    ("Mtok", "tokens", _mtok),
    ("billed", "cost_micro_usd", _sum),
    ("standard", "standard_cost_micro_usd", _sum),
    ("billed each", "cost_per_completed_micro_usd", _each),
    ("standard each", "standard_cost_per_completed_micro_usd", _each),
    ("full usage", "full_request_share", percent),
    ("cost known", "known_cost_share", percent),
]


def _coverage(models: Rows, total: Row, tenant: str) -> list[str]:
    """Sentences about what the comparison covers, and what in it cannot be compared."""
    full, full_cost, known = (
        percent(total[share] or 0.0) for share in ("full_request_share", "full_cost_share", "known_cost_share")
    )
    lines = [
        f"{total['items']:,} items with {percent(total['request_share'])} of the requests of tenant {tenant}.",
        (
            f"Covered: usage of full quality in {full} of the requests and {full_cost} of the known standard cost; "
            f"billed cost in {known} of the items."
        ),
        (
            f"Each: cost of completed items over their number, where at least 30 have a known cost (billed) or usage of full quality "
            f"(standard); else {_UNKNOWN}. What canceled items cost is in the sums alone."
        ),
        "Compare within a team: another team's items are other work.",
    ]
    for name, why in (
        (
            "partial_items",
            "have partial usage: their tokens and standard cost are too low; a billed cost of theirs compares",
        ),
        ("unknown_items", "have unknown usage: they count as items, their tokens and cost in no sum"),
        ("items_without_cost", "have no known billed cost: billed sums are those of the others"),
    ):
        if total[name]:
            lines.append(f"Not comparable: {total[name]:,} items ({_by_team(models, name)}) {why}.")
    apart = [f"{row['tool']} {row['model']} ({row['team']})" for row in models if _differ(row)]
    if apart:
        lines.append(
            f"Billed and standard differ more than twofold for {', '.join(apart)}: "
            "the reported model, its prices or its tokens are not what was billed."
        )
    unpriced = sorted({row["model"] or "(none)" for row in models if row["is_unpriced"]})
    if unpriced:
        lines.append(f"The price book lacks {', '.join(unpriced)}: its default line gives their standard cost.")
    return lines


def _differ(row: Row) -> bool:
    """Whether costs of the same completed items are more than a factor of two apart; few items say nothing."""
    billed, standard = row["cost_per_completed_micro_usd"], row["standard_cost_per_completed_micro_usd"]
    return bool(billed and standard) and not 0.5 <= billed / standard <= 2


def _by_team(models: Rows, name: str) -> str:
    sums: dict[str, int] = {}
    for row in models:
        if row[name]:
            sums[row["team"]] = sums.get(row["team"], 0) + row[name]
    return ", ".join(f"{team or 'no team'} {number:,}" for team, number in sums.items())


def _await_applied(settings: Settings, client: Any, wait_s: float) -> None:
    """Block until stored results cover every record that the input topics have now."""
    from streams.agents.topics import end_offsets  # noqa: PLC0415 - keeps --help instant
    from streams.store.reading import read  # noqa: PLC0415

    ends = {place: end for place, end in end_offsets(settings).items() if end}

    def positions() -> Rows:
        return read(client, "results/positions").to_dicts()

    total = least = _waiting(ends, positions())
    if not total:
        return
    changed = time.monotonic()
    with counting("applied", total) as progress:
        while least:
            time.sleep(_POLL_S)
            rows = positions()
            waiting = _waiting(ends, rows)
            if waiting < least:
                least, changed = waiting, time.monotonic()
                progress(total - least)
            elif time.monotonic() - changed > wait_s:
                raise SetupError(
                    _STANDSTILL.format(wait_s=wait_s, waiting=least, total=total, last=_last(rows)),
                    remedy="start one: tokenworth worker; if one runs, its log tells what it waits for, and --wait-s gives it more time",
                )


def _waiting(ends: dict[tuple[str, int], int], positions: Sequence[Row]) -> int:
    """Records below the ends that results do not cover."""
    from streams.config import INPUT_TOPICS  # noqa: PLC0415

    reached = {
        (topic, row["kpart"]): row[column]
        for row in positions
        for topic, column in zip(INPUT_TOPICS, ("usage_next", "items_next"), strict=True)
    }
    return sum(max(end - reached.get(place, 0), 0) for place, end in ends.items())


def _last(positions: Sequence[Row]) -> str:
    if not positions:
        return "none ever ran on this installation"
    latest = max(positions, key=lambda row: row["flushed_at"])
    return f"the last to write was {latest['worker']} at {moment(latest['flushed_at'])}"
