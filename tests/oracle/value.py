"""What tokens cost and what an item is worth (VALUE.md §2, §4, §8). Money: micro-USD. Value: milli-units. Times: microseconds UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

Event = Mapping[str, Any]

BUCKETS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")
REFERENCE = "*"
SINCE_2015 = 1_420_070_400_000_000


class PriceLine(NamedTuple):
    """A dated line of the price book, in micro-USD per million tokens. Model '' is the default line, '*' holds the
    reference price in `input_price`; a line with `alias_of` has the prices of that model."""

    effective_from: int
    model: str
    alias_of: str = ""
    input_price: int = 0
    cache_read_price: int = 0
    cache_write_5m_price: int = 0
    cache_write_1h_price: int = 0
    output_price: int = 0


class RuleLine(NamedTuple):
    """A line of a rule set; all lines with one `effective_from` are one set.

    kind: container, evidence, closed_without_work, match, unclassified; label (patterns: the label that overrides) or
    reference (patterns: one team or ''; base_milli: the size of a typical item in milli-points).
    """

    effective_from: int
    kind: str
    rule: int
    patterns: tuple[str, ...]
    base_milli: int
    sized: bool
    work_class: str


class Verdict(NamedTuple):
    """The rule that took an item, and what it says after a label's override."""

    rule: int
    kind: str
    base_milli: int
    sized: bool
    work_class: str


def _table(*lines: tuple[str, int, str, int, bool, str]) -> list[RuleLine]:
    return [
        RuleLine(SINCE_2015, kind, rule, tuple(text.strip() for text in patterns.split(",")), base, sized, work_class)
        for kind, rule, patterns, base, sized, work_class in lines
    ]


DEFAULT_RULES = _table(
    ("container", 1, "epic, initiative, theme, milestone, release, project", 0, False, "excluded"),
    ("evidence", 2, "", 0, False, "excluded"),
    ("match", 3, "revert", 0, False, "supporting"),
    ("closed_without_work", 4, "", 0, False, "excluded"),
    ("match", 5, "security, vulnerability, cve, compliance", 1000, True, "core"),
    ("match", 6, "incident, outage, sev*, postmortem", 500, False, "supporting"),
    ("match", 7, "dependencies, renovate, dependabot", 100, False, "low_value"),
    ("match", 8, "format, lint, typo, rename, style", 100, False, "low_value"),
    ("match", 9, "admin, status report, meeting, slides, timesheet, newsletter", 100, False, "low_value"),
    ("match", 10, "feature, story, feat, improvement, perf, customer request", 1000, True, "core"),
    ("match", 11, "bug, defect, fix", 500, True, "core"),
    ("match", 12, "tech debt, refactor, migration, infra, build, ci, test", 500, True, "supporting"),
    ("match", 13, "docs, runbook", 250, False, "supporting"),
    ("match", 14, "spike, research, design, discovery", 250, False, "supporting"),
    ("match", 15, "service request, support, question, access", 250, False, "supporting"),
    ("unclassified", 16, "", 500, False, "supporting"),
    ("label", 0, "value:core", 1000, False, "core"),
    ("label", 0, "value:supporting", 500, False, "supporting"),
    ("label", 0, "value:low", 100, False, "low_value"),
    ("reference", 0, "", 3000, False, ""),
)

SAMPLE_PRICES = [
    PriceLine(SINCE_2015, "", "", 3_000_000, 300_000, 3_750_000, 6_000_000, 15_000_000),
    PriceLine(SINCE_2015, REFERENCE, "", 3_000_000),
    PriceLine(SINCE_2015, "large", "", 15_000_000, 1_500_000, 18_750_000, 30_000_000, 75_000_000),
    PriceLine(SINCE_2015, "small", "", 250_001, 25_000, 312_500, 500_000, 1_250_000),
    PriceLine(SINCE_2015, "free"),
    PriceLine(SINCE_2015, "large-latest", "large"),
]
"""A book for tests: a default line, three models and an alias."""


def round_half_up(value: Fraction) -> int:
    """The nearest whole number of a value >= 0; halves go up."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _price_line(prices: Sequence[PriceLine], name: str, at: int) -> PriceLine | None:
    """The line of exactly this name in force at a time."""
    best = None
    for line in prices:
        if (
            line.model == name
            and line.effective_from <= at
            and (best is None or line.effective_from > best.effective_from)
        ):
            best = line
    return best


def price_of(prices: Sequence[PriceLine], model: str, at: int) -> tuple[PriceLine, bool]:
    """The line that prices a model at a time, and whether it is only the default line (unpriced)."""
    line = _price_line(prices, model, at) if model not in {"", REFERENCE} else None
    if line is not None and line.alias_of:
        line = _price_line(prices, line.alias_of, at)
    if line is not None:
        return line, False
    return _price_line(prices, "", at) or PriceLine(at, ""), True


def assisted_cost(prices: Sequence[PriceLine]) -> int:
    """Standard cost of 10,000 weighted tokens, from which usage counts as assistance. A book has one reference price."""
    (reference,) = (line.input_price for line in prices if line.model == REFERENCE)
    return round_half_up(Fraction(10_000 * reference, 1_000_000))


def standard_cost(event: Event, prices: Sequence[PriceLine]) -> tuple[int, bool]:
    """Standard cost of one usage event, and whether its model was unpriced. Unknown usage costs 0."""
    line, unpriced = price_of(prices, event["model"], event["occurred_at"])
    if event["usage_quality"] == "unknown":
        return 0, unpriced
    total = sum(event[bucket] * price for bucket, price in zip(BUCKETS, line[3:], strict=True))
    return round_half_up(Fraction(total, 1_000_000)), unpriced


def rules_in_force(rules: Iterable[RuleLine], at: int) -> list[RuleLine]:
    """The lines of the newest set that is effective at a time, in table order."""
    begun = [line for line in rules if line.effective_from <= at]
    newest = max(line.effective_from for line in begun)
    return sorted((line for line in begun if line.effective_from == newest), key=lambda line: line.rule)


def plain(text: str) -> str:
    """Text as the rules compare it."""
    return text.casefold().replace("-", " ").replace("_", " ")


def _fits(patterns: Iterable[str], texts: Iterable[str]) -> bool:
    for pattern in patterns:
        for text in texts:
            if pattern.endswith("*") and text.startswith(pattern[:-1]):
                return True
            if text == pattern:
                return True
    return False


def match_rule(
    rules: Iterable[RuleLine], at: int, *, item_type: str, labels: Sequence[str], evidence: bool, worked_on: bool
) -> Verdict:
    """The first rule in force at a time that takes the item. `worked_on`: started, linked or used before it was closed; an item
    that was not is closed_without_work even as a revert. Of two overriding labels the one of higher value holds."""
    lines = rules_in_force(rules, at)
    texts = [plain(text) for text in (item_type, *labels) if text]
    found = next(
        line
        for line in lines
        if (line.kind in {"container", "match"} and _fits(line.patterns, texts))
        or (line.kind == "evidence" and evidence)
        or (line.kind == "closed_without_work" and not worked_on)
        or line.kind == "unclassified"
    )
    verdict = Verdict(found.rule, found.kind, found.base_milli, found.sized, found.work_class)
    if found.kind == "match" and not worked_on:
        (closed,) = (line for line in lines if line.kind == "closed_without_work")
        return Verdict(closed.rule, closed.kind, 0, False, closed.work_class)
    overrides = [line for line in lines if line.kind == "label" and line.patterns[0] in map(plain, labels)]
    if found.rule > 4 and overrides:
        strongest = max(overrides, key=lambda line: line.base_milli)
        return verdict._replace(base_milli=strongest.base_milli, sized=False, work_class=strongest.work_class)
    return verdict


def reference_size(rules: Iterable[RuleLine], team: str, at: int) -> int:
    """Milli-points of a typical item of a team."""
    sizes = {line.patterns[0]: line.base_milli for line in rules_in_force(rules, at) if line.kind == "reference"}
    return sizes.get(team, sizes.get("", 3000))


def value_of(verdict: Verdict, size_milli: int, reference_milli: int) -> int:
    """Milli-units of value; size 0 means unsized."""
    factor = Fraction(1)
    if verdict.sized and size_milli:
        factor = min(max(Fraction(size_milli, reference_milli), Fraction(1, 3)), Fraction(8, 3))
    return round_half_up(verdict.base_milli * factor)
