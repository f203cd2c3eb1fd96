"""Value rules and the price book as ClickHouse holds them: effective-dated rows."""

from __future__ import annotations

from typing import Any

from streams.errors import SetupError
from streams.store.reading import read
from streams.value.prices import PriceBook
from streams.value.rules import Rules


def load_rules(client: Any) -> Rules:
    """All rule sets; SetupError when `init` never ran."""
    rows = read(client, "value_rules").to_dicts()
    if not rows:
        raise SetupError("table value_rules is empty", remedy="run: tokenworth init")
    return Rules.from_rows(rows)


def load_prices(client: Any) -> PriceBook:
    """The price book; SetupError when `init` never ran."""
    rows = read(client, "price_book").to_dicts()
    if not rows:
        raise SetupError("table price_book is empty", remedy="run: tokenworth init")
    return PriceBook.from_rows(rows)
