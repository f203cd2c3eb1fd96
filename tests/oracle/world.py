"""The naive oracle: what a set of accepted events must give, in plain loops, after VALUE.md and DESIGN.md §4-6.

    results = world(usage, items, prices, rules)
    results.ledger              {LineKey: Line}        usage of each work item by day, team, tool, model
    results.items               {(tenant, work item): Item}    state, attributes, credit in force, bookings
    results.panes               {PaneKey: {measure: n}}        measures other than 0, usage and outcome
    results.contributors        {PaneKey: {actor}}             of the usage panes
    results.fates(watermark)    {FateKey: {measure: n}}        requests, tokens, standard_cost_micro_usd
    results.windows(watermark)  {WindowKey: {measure: n}}      final, non-empty; measures and contributors other than 0

`usage` and `items` are dicts with the fields of schemas/*.avsc, in offset order, repeats included; None or '' is a missing
optional text. `prices` and `rules` are lists of PriceLine and RuleLine (tests/oracle/value.py). Where the prose is silent or can
be read in two ways, docs/decisions/0001-readings-of-the-value-spec.md says what is taken and where it comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.oracle.fates import FateKey, fates
from tests.oracle.items import Item, fold_items
from tests.oracle.ledger import Line, LineKey, first_of_each_id, ledger
from tests.oracle.panes import Measures, PaneKey, contributors, panes
from tests.oracle.value import DEFAULT_RULES, SAMPLE_PRICES, Event, PriceLine, RuleLine
from tests.oracle.windows import LATENESS_US, WindowKey, final_windows


@dataclass(frozen=True)
class Results:
    """Everything that follows from the events; see the module."""

    usage: list[Event]
    prices: Sequence[PriceLine]
    ledger: dict[LineKey, Line]
    items: dict[tuple[str, str], Item]
    panes: dict[PaneKey, Measures]
    contributors: dict[PaneKey, set[str]]

    def fates(self, watermark: int) -> dict[FateKey, dict[str, int]]:
        """Fate of each day's usage by team."""
        return fates(self.usage, self.ledger, self.items, self.prices, watermark)

    def windows(self, watermark: int, lateness_us: int = LATENESS_US) -> dict[WindowKey, Measures]:
        """The windows that are final at a watermark."""
        return final_windows(self.panes, self.contributors, watermark, lateness_us)


def world(
    usage: Sequence[Event],
    items: Sequence[Event],
    prices: Sequence[PriceLine] = SAMPLE_PRICES,
    rules: Sequence[RuleLine] = DEFAULT_RULES,
) -> Results:
    """Compute all results of a set of accepted events."""
    accepted = first_of_each_id(usage)
    lines = ledger(accepted, prices)
    folded = fold_items(first_of_each_id(items), lines, prices, rules)
    return Results(
        accepted, prices, lines, folded, panes(accepted, list(folded.values()), prices), contributors(accepted)
    )
