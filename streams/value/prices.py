"""The price book: what a token costs at list price, pinned and effective-dated, so that models can be compared (VALUE.md §2, exact in §8)."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.errors import ConfigError
from streams.value.documents import FIRST_EVENT_US, Document, Row, refuse_short_notice, shipped, show_instant

BUCKETS: Final = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
)
PRICES: Final = ("input_price", "cache_read_price", "cache_write_5m_price", "cache_write_1h_price", "output_price")
DEFAULT_LINE: Final = ""
REFERENCE_LINE: Final = "*"
MAX_PRICE: Final = 1_000_000_000
"""Micro-USD per million tokens: $1,000 a million tokens. With at most 10^9 tokens a bucket it keeps the cost of an event within Int64."""
PER_TOKENS: Final = 1_000_000
ASSISTED_WEIGHTED_TOKENS: Final = 10_000


BucketPrices = tuple[int, int, int, int, int]


def _bucket_prices(row: Mapping[str, int]) -> BucketPrices:
    return (
        row["input_price"],
        row["cache_read_price"],
        row["cache_write_5m_price"],
        row["cache_write_1h_price"],
        row["output_price"],
    )


@dataclass(frozen=True, slots=True, order=True)
class PriceLine:
    """From `effective_from` (micro-seconds) on, `model` costs `prices`, in micro-USD per million tokens in the order of BUCKETS, or what
    `alias_of` costs then. Model '' is the default line; '*' holds the reference price in its first price."""

    effective_from: int
    model: str
    alias_of: str = ""
    prices: BucketPrices = (0, 0, 0, 0, 0)

    def row(self) -> Row:
        """Row of table price_book."""
        return {
            "effective_from": self.effective_from,
            "model": self.model,
            "alias_of": self.alias_of,
            **dict(zip(PRICES, self.prices, strict=True)),
        }


class Price(NamedTuple):
    """`prices` in the order of BUCKETS; `priced` False: the book lacks the model, these are the default line's."""

    prices: BucketPrices
    priced: bool


class PriceBook:
    """The lines in force at any time. Raises ConfigError, naming `source` and the line, when they are incomplete or contradictory."""

    def __init__(self, lines: Iterable[PriceLine], source: str = "price_book") -> None:
        self.lines: tuple[PriceLine, ...] = tuple(sorted(set(lines)))
        self._timelines: dict[str, list[PriceLine]] = defaultdict(list)
        for line in self.lines:
            self._timelines[line.model].append(line)
        self._validate(source)
        self.reference_price: int = self._timelines[REFERENCE_LINE][0].prices[0]
        self._changes = sorted({line.effective_from for line in self.lines})
        self._tables: dict[int, pl.DataFrame] = {}

    def _validate(self, source: str) -> None:
        for line in self.lines:
            entry = f"price of {line.model or 'the default line'!r} from {show_instant(line.effective_from)}"
            if not all(0 <= price <= MAX_PRICE for price in line.prices):
                raise ConfigError(
                    source, f"{entry} is out of range", remedy="prices are USD per million tokens, from 0 to 1000"
                )
            if line.alias_of in (line.model, REFERENCE_LINE) and line.alias_of:
                raise ConfigError(
                    source,
                    f"{entry} is an alias of {line.alias_of!r}",
                    remedy="an alias names another model of the book",
                )
            if line.alias_of and (
                line.alias_of not in self._timelines or any(other.alias_of for other in self._timelines[line.alias_of])
            ):
                raise ConfigError(
                    source,
                    f"{entry}: {line.alias_of!r} has no prices of its own",
                    remedy="let the alias name a model that has prices",
                )
        for model, timeline in self._timelines.items():
            for one, other in pairwise(timeline):
                if one.effective_from == other.effective_from:
                    raise ConfigError(
                        source,
                        f"two different prices of {model!r} from {show_instant(one.effective_from)}",
                        remedy="a line is immutable: give the new one another effective_from",
                    )
        for model, name in ((DEFAULT_LINE, "default line"), (REFERENCE_LINE, "reference price")):
            timeline = self._timelines.get(model, [])
            if not timeline or timeline[0].effective_from > FIRST_EVENT_US or any(line.alias_of for line in timeline):
                raise ConfigError(
                    source,
                    f"no {name} in force on {show_instant(FIRST_EVENT_US)}",
                    remedy="run `tokenworth init`, which loads the shipped book",
                )
        reference = self._timelines[REFERENCE_LINE]
        if len(reference) > 1 or reference[0].prices[0] < 1:
            raise ConfigError(
                source,
                "the reference price changes or is 0",
                remedy="it is the unit of every ratio: keep the one of the first book",
            )

    @property
    def assisted_cost_micro_usd(self) -> int:
        """Standard cost from which the usage of an item counts as assistance: 10,000 weighted tokens."""
        return (ASSISTED_WEIGHTED_TOKENS * self.reference_price + PER_TOKENS // 2) // PER_TOKENS

    def _line(self, model: str, t_us: int) -> PriceLine | None:
        timeline = self._timelines.get(model, [])
        at = bisect_right(timeline, t_us, key=attrgetter("effective_from"))
        return timeline[at - 1] if at else None

    def price(self, model: str, t_us: int) -> Price:
        """The exact model's line in force, else its alias's, else the default line. `t_us` before 2015, where no events are, reads as 2015."""
        t_us = max(t_us, FIRST_EVENT_US)
        line = self._line(model, t_us) if model not in (DEFAULT_LINE, REFERENCE_LINE) else None
        if line is not None and line.alias_of:
            line = self._line(line.alias_of, t_us)
        if line is not None:
            return Price(line.prices, True)
        default = self._line(DEFAULT_LINE, t_us)
        assert default is not None
        return Price(default.prices, False)

    @property
    def changes(self) -> tuple[int, ...]:
        """The event times (us) from which on some price is another one, ascending."""
        return tuple(self._changes)

    def table(self, models: Sequence[str]) -> npt.NDArray[np.int64]:
        """By change and model: the prices of BUCKETS, and 1 where the book has the model. Shape (changes, models, 6)."""
        out = np.zeros((len(self._changes), len(models), len(BUCKETS) + 1), np.int64)
        for number, since in enumerate(self._changes):
            known = {model: self.price(model, since) for model in set(models)}
            for place, model in enumerate(models):
                out[number, place] = (*known[model].prices, known[model].priced)
        return out

    def _table(self, change: int) -> pl.DataFrame:
        """Prices by model between the `change`-th change and the next: model, the five prices, priced. At most one row a model."""
        if change not in self._tables:
            t_us = self._changes[max(change, 0)]
            found = [(model, self.price(model, t_us)) for model in self._timelines]
            rows = [(model, *price.prices, True) for model, price in found if price.priced]
            schema = {"model": pl.String, **dict.fromkeys(PRICES, pl.Int64), "priced": pl.Boolean}
            self._tables[change] = pl.DataFrame(rows, schema=schema, orient="row")
        return self._tables[change]

    def standard_cost(self, frame: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Standard cost of each event in micro-USD (Int64, rounded half-up once) and whether the book has its model (Boolean).

        `frame`: columns model, occurred_at (Int64 micro-seconds), the five token buckets (Int64, 0..10^9) and usage_quality; the cost of
        unknown usage is 0. Row order is kept.

        Int64 is exact: a bucket holds at most 10^9 tokens and a price is at most 10^9, so a product is at most 10^18, the sum of the
        five at most 5 * 10^18, and with the 500,000 for rounding still below 2^63 - 1 = 9.22 * 10^18. As the divisor 10^6 is even,
        floor((n + 500,000) / 10^6) is half-up rounding itself; nothing is doubled on the way.
        """
        if frame.is_empty():
            return pl.Series("standard_cost_micro_usd", [], pl.Int64), pl.Series("priced", [], pl.Boolean)
        earliest, latest = frame.select(min=pl.min("occurred_at"), max=pl.max("occurred_at")).row(0)
        first, last = bisect_right(self._changes, earliest) - 1, bisect_right(self._changes, latest) - 1
        if first == last:
            return self._cost_between_changes(frame, first)
        # A batch that spans a change of the book is cut at it: rare, and it keeps the ordinary path a plain join by model.
        bounds = [earliest, *self._changes[first + 1 : last + 1], latest + 1]
        rows, costs, priced = [], [], []
        for change, (begin, end) in enumerate(pairwise(bounds), start=first):
            inside = frame["occurred_at"].is_between(begin, end, closed="left")
            part = self._cost_between_changes(frame.filter(inside), change)
            rows.append(inside.arg_true())
            costs.append(part[0])
            priced.append(part[1])
        order = pl.concat(rows).arg_sort()
        return pl.concat(costs)[order], pl.concat(priced)[order]

    def _cost_between_changes(self, frame: pl.DataFrame, change: int) -> tuple[pl.Series, pl.Series]:
        default = self.price("", self._changes[max(change, 0)]).prices
        joined = (
            frame.lazy()
            .select("model", "usage_quality", *BUCKETS)
            .join(self._table(change).lazy(), on="model", how="left", maintain_order="left")
        )
        terms = [
            pl.col(bucket) * pl.col(price).fill_null(fallback)
            for bucket, price, fallback in zip(BUCKETS, PRICES, default, strict=True)
        ]
        cost = (pl.sum_horizontal(terms) + PER_TOKENS // 2) // PER_TOKENS
        out = joined.select(
            standard_cost_micro_usd=pl.when(pl.col("usage_quality") == "unknown").then(0).otherwise(cost),
            priced=pl.col("priced").fill_null(value=False),
        ).collect()
        return out["standard_cost_micro_usd"], out["priced"]

    def rows_for_tables(self) -> list[Row]:
        """Rows of table price_book."""
        return [line.row() for line in self.lines]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> PriceBook:
        """From rows of table price_book, read with FINAL; `effective_from` in micro-seconds."""
        return cls(PriceLine(r["effective_from"], r["model"], r["alias_of"], _bucket_prices(r)) for r in rows)

    @classmethod
    def shipped(cls) -> PriceBook:
        return cls(price_lines(shipped("price_book.toml"), "price_book.toml"), "price_book.toml")


def price_lines(text: str, file: str) -> list[PriceLine]:
    """Lines of a document such as price_book.toml; prices in USD per million tokens, exact to the micro-USD.

    A cache bucket without a price of its own costs as input. Raises ConfigError naming `file` and the entry.
    """
    doc = Document(text, file)
    doc.only(doc.table, "document", frozenset({"effective_from", "reference_price", "default", "model"}))
    since = doc.instant(doc.table, "effective_from", "document")
    lines = []
    if "reference_price" in doc.table:
        reference = doc.scaled(doc.table["reference_price"], PER_TOKENS, "document", "reference_price")
        lines.append(PriceLine(since, REFERENCE_LINE, prices=(reference, 0, 0, 0, 0)))
    if "default" in doc.table:
        lines.append(PriceLine(since, DEFAULT_LINE, prices=_prices(doc, doc.section("default"), "default")))
    for entry in doc.tables("model"):
        name = doc.text(entry, "name", "model")
        if name in ("", REFERENCE_LINE):
            doc.refuse(
                f"model {name!r}",
                "is not a model's name",
                "set the default line in [default], the reference in reference_price",
            )
        own = doc.instant(entry, "effective_from", f"model {name}") if "effective_from" in entry else since
        lines.append(PriceLine(own, name, prices=_prices(doc, entry, f"model {name}")))
        lines += [PriceLine(own, alias, alias_of=name) for alias in doc.texts(entry, "aliases", f"model {name}")]
    return lines


def _prices(doc: Document, entry: Mapping[str, Any], where: str) -> BucketPrices:
    doc.only(
        entry,
        where,
        frozenset({"name", "aliases", "effective_from", *(name.removesuffix("_price") for name in PRICES)}),
    )
    values = {name: entry.get(name.removesuffix("_price")) for name in PRICES}
    for name in PRICES[1:-1]:
        values[name] = values["input_price"] if values[name] is None else values[name]
    return _bucket_prices(
        {name: doc.scaled(value, PER_TOKENS, where, name.removesuffix("_price")) for name, value in values.items()}
    )


def check_effective(lines: Iterable[PriceLine], now_us: int, source: str) -> None:
    """ConfigError if a line would come into force less than an hour after `now_us`."""
    for line in lines:
        refuse_short_notice(f"{source}: price of {line.model or 'the default line'}", line.effective_from, now_us)
