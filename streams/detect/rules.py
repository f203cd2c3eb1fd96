"""The alert rules that ship. A simple form that final windows alone can tell.

Every rule but one needs three things at once: an amount that is worth somebody's time (the policy's floor), a clear step over the team's own
median, and more than its own 95th percentile, over the windows of history.py. The exception is silence (feed.py). What the windows cannot say
is left out: how much of a rise is core work in flight.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from streams.detect.feed import FeedSilent
from streams.detect.history import Before, Span, usual
from streams.detect.looks import busier, heavier, low_value_days, price
from streams.detect.observed import Observed
from streams.detect.rule import AlertRule, Usual
from streams.detect.runaway import SpendRunaway
from streams.detect.surge import CompletionSurge
from streams.detect.words import moment, percent, usd, value

_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven")


@dataclass(frozen=True, slots=True)
class SpendUpCoreFlat(AlertRule):
    """A week costs clearly more than usual while core work grows by much less than spend.

    Core work of one week is a few items and differs by a third from week to week: asking for less would miss every second drift.

    A drift need not be a week old to cost more than a usual one: the pace since it began counts, too, where it shows in tokens a request or in
    requests. Money alone is no pace: one dear day is ordinary. Nor is a runaway, which somebody has been paged for.
    In its first days the core work of a week is mostly that of before: only as much more of it explains a pace.

    Review, operations and exploration without a work item are left out: nobody expects core work of them, least of all in a night of outages.
    What is usual is told at today's price of a token: a dearer model alone is no drift.
    """

    floor_micro_usd: int
    factor_per_mille: int
    core_part_per_mille: int
    least_items: int

    name, size, kind, unit = "spend_up_core_flat", "7d", "ticket", "micro_usd"
    looks = True

    def figure(self, now: Observed) -> int:
        return max(now.spend - now.enabling, now.busy_pace, now.heavy_pace)

    def worth(self, now: Observed) -> bool:
        return now.items >= self.least_items and max(now.week, now.busy_pace, now.heavy_pace) >= self.floor_micro_usd

    def threshold(self, median: int, p95: int) -> int:
        return max(-(-self.factor_per_mille * median // 1000), median + self.floor_micro_usd)

    def frozen(self, than: Usual) -> Self:
        return replace(self, floor_micro_usd=min(self.floor_micro_usd, than.threshold))

    def look(self, now: Observed, before: Before, without: Sequence[Span]) -> Observed:
        own, week = self._usual(now, before, without), self.figure(now)
        if own is None:
            return now._replace(week=week)
        median, p95 = own
        now = now._replace(week=week if week > p95 else 0)
        if before.paged:
            return now
        busy, heavy = busier(before, without), heavier(before, without)
        busy_pace, heavy_pace = median * busy.per_mille // 1000, median * heavy.per_mille // 1000
        since_us = heavy.since_us if heavy_pace >= busy_pace else busy.since_us
        return now._replace(busy_pace=busy_pace, heavy_pace=heavy_pace, drift_since_us=since_us)

    def usual(self, now: Observed, before: Before, without: Sequence[Span]) -> Usual | None:
        own, than = self._usual(now, before, without), AlertRule.usual(self, now, before, without)
        if own is None or than is None or own[0] <= 0:
            return None  # a rise from nothing is the first that was measured
        return than._replace(baseline=own[0], threshold=self.threshold(*own))

    def _usual(self, now: Observed, before: Before, without: Sequence[Span]) -> tuple[int, int] | None:
        """What is usual, each window at today's price of a token: another model or another price is no use of more. A cheaper token is no
        excuse: what counts is money."""
        today = price(now)

        def repriced(window: Observed) -> int:
            figure, then = self.figure(window), price(window)
            return figure * today // then if today and then and then < today else figure

        return usual(before.windows, repriced, without)

    def active(self, now: Observed, than: Usual) -> bool:
        core_rise = now.core_value_milli - than.core_value_milli
        return self.frozen(than).worth(now) and any(
            cost >= than.threshold
            and 1000 * core_rise * than.baseline < part * (cost - than.baseline) * than.core_value_milli
            for cost, part in (
                (now.week, self.core_part_per_mille),
                (now.busy_pace, 1000),
                (now.heavy_pace, 1000),
            )
        )

    def says(self, now: Observed, than: Usual) -> str:
        core = f"core work was {value(now.core_value_milli)}, usually {value(than.core_value_milli)}"
        spent = now.spend - now.enabling
        pace = max(now.busy_pace, now.heavy_pace)
        more = "tokens a request" if now.heavy_pace >= now.busy_pace else "requests"
        drifts = f"spends, with more {more} since {moment(now.drift_since_us)}, {usd(pace)}"
        what = f"spent {usd(spent)}" if spent >= pace else drifts
        return f"{what} on AI in seven days, usually {usd(than.baseline)}, while {core}"


@dataclass(frozen=True, slots=True)
class ShareRule(AlertRule):
    """Rules on a part of a whole. Not the share alone must be unusual but the part as well: else a whole that shrinks would alert."""

    floor_micro_usd: int
    least_share_per_mille: int

    @abstractmethod
    def part(self, now: Observed) -> int: ...

    @abstractmethod
    def whole(self, now: Observed) -> int: ...

    def figure(self, now: Observed) -> int | None:
        whole = self.whole(now)
        return 1000 * self.part(now) // whole if whole > 0 else None

    def worth(self, now: Observed) -> bool:
        part = self.part(now)
        return part >= self.floor_micro_usd and 1000 * part >= self.least_share_per_mille * self.whole(now)

    def usual_figure(self, before: Before, without: Sequence[Span]) -> tuple[int, int] | None:
        """Of windows whose whole costs enough to be judged, if there are enough of them: the share of a weekend's few requests says little."""

        def judged(window: Observed) -> int | None:
            return self.figure(window) if self.whole(window) >= self.floor_micro_usd else None

        return usual(before.windows, judged, without) or AlertRule.usual_figure(self, before, without)

    def outlook(self, now: Observed, before: Before, without: Sequence[Span]) -> Usual | None:
        return AlertRule.usual(self, now, before, without)

    def frozen(self, than: Usual) -> Self:
        """The share is frozen, what its part must cost is not: a share of nothing is over."""
        return replace(self, least_share_per_mille=min(self.least_share_per_mille, than.threshold))

    def usual(self, now: Observed, before: Before, without: Sequence[Span]) -> Usual | None:
        part = usual(before.windows, self.part, without)
        return AlertRule.usual(self, now, before, without) if part and self.part(now) > part[1] else None


@dataclass(frozen=True, slots=True)
class LowValueShare(ShareRule):
    """Of the AI spend that ended in a week, or in its last days, a large and unusual share went into low-value work.

    More low-value items must have been completed than chance explains; or the share of the week is obvious, whatever their number.

    Ended is what was matched to completions or abandoned in the window. Spend whose outcome is not known yet is in neither part. The spend
    of a single item can be half of a day's, so the share alone says little; the number of items does.
    """

    factor_per_mille: int
    obvious_share_per_mille: int

    name, size, kind, unit = "low_value_share", "7d", "ticket", "per_mille"
    looks = True

    def part(self, now: Observed) -> int:
        return now.low_value

    def whole(self, now: Observed) -> int:
        return now.ended

    def look(self, now: Observed, before: Before, without: Sequence[Span]) -> Observed:
        found = low_value_days(now, before, without, self.floor_micro_usd)
        if found.days or 1000 * now.low_value < self.obvious_share_per_mille * now.ended:
            return found
        share, part = usual(before.windows, self.figure, without), usual(before.windows, self.part, without)
        costly = share and part and now.low_value > part[1] and (self.figure(now) or 0) >= 2 * share[0]
        return now._replace(days=7) if costly else found

    def worth(self, now: Observed) -> bool:
        costly = 7 * now.low_value >= self.floor_micro_usd * now.days > 0
        return costly and (self.figure(now) or 0) >= self.least_share_per_mille

    def threshold(self, median: int, p95: int) -> int:
        return max(self.least_share_per_mille, self.factor_per_mille * median // 1000)

    def usual(self, now: Observed, before: Before, without: Sequence[Span]) -> Usual | None:
        return AlertRule.usual(self, now, before, without)

    def says(self, now: Observed, than: Usual) -> str:
        share = percent(self.figure(now) or 0)
        days = "a day" if now.days == 1 else f"{_NUMBERS[now.days]} days"
        return f"put {usd(now.low_value)} into low-value work in {days}, {share} of the AI spend that ended, usually {percent(than.baseline)}"


@dataclass(frozen=True, slots=True)
class UnattributedSurge(ShareRule):
    """A large share of a day's AI spend, and clearly more than usual, names no work item although it should.

    Review, operations and exploration need none.
    """

    rise_per_mille: int

    name, size, kind, unit = "unattributed_surge", "24h", "ticket", "per_mille"

    def part(self, now: Observed) -> int:
        return now.unattributed

    def whole(self, now: Observed) -> int:
        return now.spend - now.enabling

    def threshold(self, median: int, p95: int) -> int:
        return max(self.least_share_per_mille, median + self.rise_per_mille, p95 + 1)

    def says(self, now: Observed, than: Usual) -> str:
        share = percent(self.figure(now) or 0)
        return f"spent {usd(now.unattributed)} on AI without a work item in 24 hours, {share} of its spend, usually {percent(than.baseline)}"


@dataclass(frozen=True, slots=True)
class RepeatedPrompts(ShareRule):
    """A large share of a day's requests, and several times the usual, only repeats a prompt.

    Most sources tell no fingerprint of their prompts: of their usage this rule knows nothing. An agent in a loop repeats its prompts, too: the
    page about its spend says so.
    """

    factor_per_mille: int

    joins = "spend_runaway"
    name, size, kind, unit = "repeated_prompts", "24h", "ticket", "per_mille"

    def part(self, now: Observed) -> int:
        """Cost of the repeats, as if each cost as much as any request."""
        return now.spend * now.repeated_prompts // now.requests if now.requests > 0 else 0

    def whole(self, now: Observed) -> int:
        return now.spend

    def threshold(self, median: int, p95: int) -> int:
        return max(self.least_share_per_mille, self.factor_per_mille * median // 1000, p95 + 1)

    def says(self, now: Observed, than: Usual) -> str:
        share = percent(self.figure(now) or 0)
        return f"repeated {now.repeated_prompts:,} prompts in 24 hours, {share} of its requests, usually {percent(than.baseline)}"


RULES: Final[tuple[type[AlertRule], ...]] = (
    SpendRunaway,
    SpendUpCoreFlat,
    LowValueShare,
    UnattributedSurge,
    RepeatedPrompts,
    FeedSilent,
    CompletionSurge,
)
"""All rules, in the order in which they are evaluated."""
