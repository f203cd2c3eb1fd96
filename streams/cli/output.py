"""How commands print results: tables for people on a terminal, JSON for machines with --json."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

Row = Mapping[str, Any]
Column = tuple[str, str, Callable[[Any], str]]
"""Heading, name in the row, and how a value is shown."""

_NO_TERMINAL: Final = 1000
"""Columns of a pipe or file, where the usual 80 would fold every table."""


def print_json(value: Any) -> None:
    """One JSON document on stdout. Instants are ISO 8601 in UTC."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=_plain)
    sys.stdout.write("\n")


def print_table(
    rows: Sequence[Row], columns: Sequence[Column], *, title: str = "", nothing: str = "nothing to show"
) -> None:
    """Rows as a table; text to the left, figures to the right. What is no terminal gets the width that it takes."""
    from rich import box  # noqa: PLC0415 - keeps --help instant
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=_NO_TERMINAL)
    if not rows:
        console.print(nothing)
        return
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, name, _ in columns:
        figures = any(isinstance(row[name], (int, float)) and not isinstance(row[name], bool) for row in rows)
        table.add_column(heading, justify="right" if figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(show(row[name])) for _, name, show in columns))
    console.print(table)


def text(value: Any) -> str:
    """A value as it is; nothing for None."""
    return "" if value is None else str(value)


def usd(micro_usd: int | None) -> str:
    """$1,490, and $12.90 below $100."""
    if micro_usd is None:
        return ""
    amount = micro_usd / 1e6
    return f"${amount:,.0f}" if abs(amount) >= 100 else f"${amount:,.2f}"


def percent(share: float | None) -> str:
    """0.58 as 58 %."""
    return "" if share is None else f"{100 * share:.0f} %"


def value(milli: int | None) -> str:
    """Value in typical core items."""
    return "" if milli is None else f"{milli / 1000:,.1f}"


def ratio(number: float | None) -> str:
    """Three decimals."""
    return "" if number is None else f"{number:.3f}"


def count(number: int | None) -> str:
    """1,234,567"""
    return "" if number is None else f"{number:,}"


def moment(instant: datetime | None) -> str:
    """2026-01-31 14:05; nothing for the epoch, which stands for none."""
    return "" if instant is None or instant.year <= 1970 else instant.strftime("%Y-%m-%d %H:%M")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return None if value.year <= 1970 else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (set, tuple)):
        return list(value)
    return str(value)
