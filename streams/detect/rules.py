"""The alert rules: one signal, one grain, one window each. A simple form that final windows alone can tell.

Every rule needs three things at once: an amount that is worth somebody's time (the policy's floor), a clear step over the team's own median,
and more than its own 95th percentile, over the windows of history.py. What the windows cannot say is left out: how much of a rise
is core work in flight, a budget, the hour of the week.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, NamedTuple

from streams.detect.history import Past, Span, usual
from streams.detect.observed import Observed
from streams.detect.policy import AlertPolicy
from streams.detect.words import percent, usd, value
from streams.windows.measures import HOUR_US

MINUTE_US: Final = 60_000_000
Kind = Literal["page", "ticket"]
Unit = Literal["micro_usd", "per_mille"]


class Usual(NamedTuple):
    """What is usual for a team, and from where on the rule's figure is too much. Frozen when an alert begins."""

    baseline: int
    threshold: int
    spend: int
    core_value_milli: int


@dataclass(frozen=True, slots=True)
class AlertRule(ABC):
    """One rule. `hold_us`: how long it must be true before it fires; `keep_firing_us`: how long it must be false before it resolves."""

    floor_micro_usd: int

    name: ClassVar[str]
    size: ClassVar[str]
    kind: ClassVar[Kind]
    unit: ClassVar[Unit]
    hold_us: ClassVar[int]
    keep_firing_us: ClassVar[int]

    @abstractmethod
    def figure(self, now: Observed) -> int | None:
        """What is judged, in `unit`; None where it is not defined."""

    @abstractmethod
    def worth(self, now: Observed) -> bool:
        """Whether the window is large enough to matter: what can be said without a baseline."""

    @abstractmethod
    def threshold(self, median: int, p95: int) -> int:
        """Least figure that is too much."""

    def baseline(self, median: int, p95: int) -> int:
        """The usual figure, as an alert tells it."""
        return median

    @abstractmethod
    def says(self, now: Observed, than: Usual) -> str:
        """What happened and how it compares, as the middle of a sentence that begins with the team."""

    def usual(self, windows: Past, without: Sequence[Span]) -> Usual | None:
        """What is usual, from past windows outside the spans; None if they are too few."""
        own = usual(windows, self.figure, without)
        spend = usual(windows, lambda window: window.spend, without)
        core = usual(windows, lambda window: window.core_value_milli, without)
        if own is None or spend is None or core is None:
            return None
        return Usual(self.baseline(*own), self.threshold(*own), spend[0], core[0])

    def active(self, now: Observed, than: Usual) -> bool:
        figure = self.figure(now)
        return figure is not None and figure >= than.threshold and self.worth(now)


class SpendRunaway(AlertRule):
    """An hour costs five times a busy hour of the last four weeks: somebody should look now."""

    name, size, kind, unit = "spend_runaway", "1h", "page", "micro_usd"
    hold_us, keep_firing_us = 10 * MINUTE_US, 30 * MINUTE_US

    def figure(self, now: Observed) -> int:
        return now.spend

    def worth(self, now: Observed) -> bool:
        return now.spend >= self.floor_micro_usd

    def threshold(self, median: int, p95: int) -> int:
        return max(self.floor_micro_usd, 5 * p95)

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


class SpendUpCoreFlat(AlertRule):
    """A week costs half as much again as usual while core work grows less than a quarter as much: with spend up 50 %, less than 12.5 %.

    Review, operations and exploration without a work item are left out: nobody expects core work of them, least of all in a night of outages.
    """

    name, size, kind, unit = "spend_up_core_flat", "7d", "ticket", "micro_usd"
    hold_us, keep_firing_us = 12 * HOUR_US, 24 * HOUR_US

    def figure(self, now: Observed) -> int:
        return now.spend - now.enabling

    def worth(self, now: Observed) -> bool:
        return now.items >= 5 and self.figure(now) >= self.floor_micro_usd

    def threshold(self, median: int, p95: int) -> int:
        return max(-(-3 * median // 2), median + self.floor_micro_usd, p95 + 1)

    def active(self, now: Observed, than: Usual) -> bool:
        rise = self.figure(now) - than.baseline
        core_rise = now.core_value_milli - than.core_value_milli
        return AlertRule.active(self, now, than) and 4 * core_rise * than.baseline <= rise * than.core_value_milli

    def says(self, now: Observed, than: Usual) -> str:
        core = f"core work was {value(now.core_value_milli)}, usually {value(than.core_value_milli)}"
        return f"spent {usd(self.figure(now))} on AI in seven days, usually {usd(than.baseline)}, while {core}"


class LowValueShare(AlertRule):
    """Of the AI spend that ended in a week, a quarter or more, and twice the usual, went into low-value work.

    Ended is what was matched to completions or abandoned in the window. Spend whose outcome is not known yet is in neither part, so this
    tells what was finished, days after it was spent.
    """

    name, size, kind, unit = "low_value_share", "7d", "ticket", "per_mille"
    hold_us, keep_firing_us = 24 * HOUR_US, 24 * HOUR_US

    def figure(self, now: Observed) -> int | None:
        return 1000 * now.low_value // now.ended if now.ended > 0 else None

    def worth(self, now: Observed) -> bool:
        return now.low_value >= self.floor_micro_usd and 4 * now.low_value >= now.ended

    def threshold(self, median: int, p95: int) -> int:
        return max(250, 2 * median, p95 + 1)

    def says(self, now: Observed, than: Usual) -> str:
        share = percent(self.figure(now) or 0)
        return f"put {usd(now.low_value)} into low-value work in seven days, {share} of the AI spend that ended, usually {percent(than.baseline)}"


class UnattributedSurge(AlertRule):
    """Two fifths or more of a day's AI spend, and twenty points above the usual, name no work item."""

    name, size, kind, unit = "unattributed_surge", "24h", "ticket", "per_mille"
    hold_us, keep_firing_us = 6 * HOUR_US, 6 * HOUR_US

    def figure(self, now: Observed) -> int | None:
        return 1000 * now.unattributed // now.spend if now.spend > 0 else None

    def worth(self, now: Observed) -> bool:
        return now.unattributed >= self.floor_micro_usd and 5 * now.unattributed >= 2 * now.spend

    def threshold(self, median: int, p95: int) -> int:
        return max(400, median + 200, p95 + 1)

    def says(self, now: Observed, than: Usual) -> str:
        share = percent(self.figure(now) or 0)
        return f"spent {usd(now.unattributed)} on AI without a work item in 24 hours, {share} of its spend, usually {percent(than.baseline)}"


def alert_rules(policy: AlertPolicy) -> tuple[AlertRule, ...]:
    """All rules, in the order in which they are evaluated."""
    return (
        SpendRunaway(policy.spend_runaway_floor_micro_usd),
        SpendUpCoreFlat(policy.spend_up_floor_micro_usd),
        LowValueShare(policy.low_value_floor_micro_usd),
        UnattributedSurge(policy.unattributed_floor_micro_usd),
    )
