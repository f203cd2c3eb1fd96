"""The rule about many completions at once: no news of the work, but of what was closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streams.detect.history import Before, Span, outside
from streams.detect.observed import Observed
from streams.detect.rule import AlertRule, Usual


@dataclass(frozen=True, slots=True)
class CompletionSurge(AlertRule):
    """Many times as many items are completed in an hour as ever in this hour of the week: old ones closed in bulk, or an import.

    Usual is the most of this hour in the four weeks before: of four values the 99th percentile is the largest. An hour that does not begin with the
    clock's is held against the two that it lies in. Where nothing usually ends, four values say little: so it must be clearly more than in any hour of
    the four weeks, too. A team that closes its items in bursts has none.
    What is completed in such hours counts for no other rule: neither in what is usual for the team nor in what is judged.
    """

    least_items: int
    factor_per_mille: int
    busiest_factor_per_mille: int

    name, size, kind, unit = "completion_surge", "1h", "digest", "items"

    def figure(self, now: Observed) -> int:
        return now.items

    def worth(self, now: Observed) -> bool:
        return now.items >= self.least_items

    def threshold(self, median: int, p95: int) -> int:
        return max(self.least_items, self.factor_per_mille * p95 // 1000)

    def usual(self, now: Observed, before: Before, without: Sequence[Span]) -> Usual | None:
        than = AlertRule.usual(self, now, before, without)
        if than is None:
            return None
        most = max((hour.items for week in before.hours_of_week(without) for hour in week), default=0)
        busiest = max((hour.items for hour in outside(before.windows, without)), default=0)
        least = self.busiest_factor_per_mille * busiest // 1000
        return than._replace(baseline=most, threshold=max(self.threshold(most, most), least))

    def says(self, now: Observed, than: Usual) -> str:
        return f"completed {now.items:,} items in an hour, at this time of the week at most {than.baseline:,}"
