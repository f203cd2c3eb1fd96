"""Value rules and the price book as ClickHouse holds them: effective-dated rows."""

from __future__ import annotations

from streams.errors import SetupError
from streams.store.reading import Stored
from streams.value.prices import PriceBook
from streams.value.rules import Rules


def load_rules(stored: Stored) -> Rules:
    """All rule sets; SetupError when `init` never ran."""
    rows = stored.read("value_rules").to_dicts()
    if not rows:
        raise SetupError("table value_rules is empty", remedy="run: tokenworth init")
    return Rules.from_rows(rows)


def load_prices(stored: Stored) -> PriceBook:
    """The price book; SetupError when `init` never ran."""
    rows = stored.read("price_book").to_dicts()
    if not rows:
        raise SetupError("table price_book is empty", remedy="run: tokenworth init")
    return PriceBook.from_rows(rows)
