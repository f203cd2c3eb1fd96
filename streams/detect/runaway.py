"""The rule about an hour that costs far too much: the one that wakes somebody for money."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from streams.detect.decomposition import Use, decompose
from streams.detect.history import Before, Span, outside, usual
from streams.detect.looks import price
from streams.detect.observed import Observed
from streams.detect.rule import AlertRule, Usual
from streams.detect.words import percent, usd

_HOURS_A_MONTH: Final = 30 * 24
_BUSY_WEEKS: Final = 8
"""Weeks that a busy hour counts as beside the four of an hour of the week (docs/decisions/0016)."""
_WORK_HOURS: Final = 24
"""Hours with requests that tell today's price of a token: three working days, so that one dear hour does not."""
_ALL: Final = ("", "")
"""A team's windows do not tell tools and models apart: mix is part of the price of a token."""


@dataclass(frozen=True, slots=True)
class SpendRunaway(AlertRule):
    """An hour costs several times what is usual at this time of the week when it is busy: somebody should look now.

    Usual is the dearest of the same hours of four weeks, shrunk towards a busy hour of the team (the 95th percentile of all), which counts as eight
    more weeks. Of a team with a budget the hour must also burn it several times as fast as a month allows.

    A dearer model or a new price is no runaway: of the rise over this hour of the week a good part must be more requests and more tokens a request
    (decomposition.py; over half a busy hour at least, at the usual price of a token). Where tokens are not known, cost alone counts. When tokens have
    become dearer, the usual cost and the usual price rise with the price of the last hours of work.
    """

    floor_micro_usd: int
    factor_per_mille: int
    budget_factor_per_mille: int
    usage_part_per_mille: int
    month_budget_micro_usd: int = 0
    """Of the team; 0: it has none."""

    name, size, kind, unit = "spend_runaway", "1h", "page", "micro_usd"
    looks = True

    def figure(self, now: Observed) -> int:
        return now.spend

    def worth(self, now: Observed) -> bool:
        return now.spend >= self.floor_micro_usd

    def threshold(self, median: int, p95: int) -> int:
        of_budget = self.budget_factor_per_mille * self.month_budget_micro_usd // (1000 * _HOURS_A_MONTH)
        return max(self.floor_micro_usd, self.factor_per_mille * p95 // 1000, of_budget)

    def usual(self, now: Observed, before: Before, without: Sequence[Span]) -> Usual | None:
        than = AlertRule.usual(self, now, before, without)
        if than is None:
            return None
        weeks = before.hours_of_week(without)
        dearest = max((hour.spend for week in weeks for hour in week), default=0)
        level = (len(weeks) * dearest + _BUSY_WEEKS * than.baseline) // (len(weeks) + _BUSY_WEEKS)
        if self.worth(now) and (prices := _prices(before, without)):
            level = level * max(prices) // prices[0]
        return than._replace(baseline=level, threshold=self.threshold(level, level))

    def look(self, now: Observed, before: Before, without: Sequence[Span]) -> Observed:
        prices = _prices(before, without) if self.worth(now) and now.tokens else None
        if not prices:
            return now
        requests, tokens = (_usually(of, before, without) for of in (_requests, _tokens))
        usually = Use(requests, tokens, tokens * max(prices) // 1_000_000)
        parts, rise = (
            decompose({_ALL: usually}, {_ALL: Use(now.requests, now.tokens, now.spend)}),
            now.spend - usually.cost,
        )
        return now._replace(dearer=max(1000 * (parts.mix + parts.price) // rise, 0)) if rise > 0 else now

    def active(self, now: Observed, than: Usual) -> bool:
        return AlertRule.active(self, now, than) and 1000 - now.dearer >= self.usage_part_per_mille

    def frozen(self, than: Usual) -> Self:
        return replace(self, floor_micro_usd=min(self.floor_micro_usd, than.threshold))

    def baseline(self, median: int, p95: int) -> int:
        return p95  # the median hour of a team is one in which nobody works

    def says(self, now: Observed, than: Usual) -> str:
        unlinked = (
            f", {percent(1000 * now.unattributed // now.spend)} of it without a work item"
            if 2 * now.unattributed >= now.spend > 0
            else ""
        )
        repeats = f", {now.repeated_prompts:,} prompts repeated" if now.repeated_prompts else ""
        return (
            f"spent {usd(now.spend)} on AI in an hour, where a busy one costs {usd(than.baseline)}{unlinked}{repeats}"
        )


def _prices(before: Before, without: Sequence[Span]) -> tuple[int, int] | None:
    """Of a token: the usual price, and that of the last hours of work, as medians; None where nothing is usual."""
    each = usual(before.windows, price, without)
    if not each or not each[0]:
        return None
    found = [of for window in outside(before.windows, without) if (of := price(window)) is not None]
    return each[0], sorted(found[-_WORK_HOURS:])[(min(len(found), _WORK_HOURS) - 1) // 2]


def _requests(window: Observed) -> int:
    return window.requests


def _tokens(window: Observed) -> int:
    return window.tokens


def _usually(of: Callable[[Observed], int], before: Before, without: Sequence[Span]) -> int:
    """The most of this hour of the week in four weeks, and half a busy hour at least: at night one who works late is no runaway."""
    busy = usual(before.windows, of, without)
    return max([of(hour) for week in before.hours_of_week(without) for hour in week] + [busy[1] // 2 if busy else 0])
