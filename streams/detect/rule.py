"""What an alert rule is: one signal, one grain, one window. Its numbers are its fields; alerts.toml has their values and says what they mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Self

from streams.detect.history import Before, Span, usual
from streams.detect.observed import Observed

Kind = Literal["page", "ticket", "digest"]
Unit = Literal["micro_usd", "per_mille", "milli_requests", "items"]


class Usual(NamedTuple):
    """What is usual for a team, and from where on the rule's figure is too much. Frozen when an alert begins."""

    baseline: int
    threshold: int
    spend: int
    core_value_milli: int


@dataclass(frozen=True, slots=True)
class AlertRule(ABC):
    """One rule. `hold_us`: how long it must be true before it fires; `keep_firing_us`: how long it must be false before it resolves."""

    enabled: bool
    hold_us: int
    keep_firing_us: int

    name: ClassVar[str]
    size: ClassVar[str]
    kind: ClassVar[Kind]
    unit: ClassVar[Unit]
    looks: ClassVar[bool] = False
    """Whether it looks at the last days of a window, too."""
    joins: ClassVar[str] = ""
    """A rule whose alert says it already: none of its own for a team's window in which that one fired."""

    @property
    def absence_us(self) -> int:
        """For so long after a team's last window with requests one that is not there may begin an alert; 0: never."""
        return 0

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

    def usual(self, now: Observed, before: Before, without: Sequence[Span]) -> Usual | None:
        """What is usual when `now` is judged, from windows before it and outside the spans; None if they are too few."""
        windows = before.windows
        own = self.usual_figure(before, without)
        spend = usual(windows, lambda window: window.spend, without)
        core = usual(windows, lambda window: window.core_value_milli, without)
        if own is None or spend is None or core is None:
            return None
        return Usual(self.baseline(*own), self.threshold(*own), spend[0], core[0])

    def usual_figure(self, before: Before, without: Sequence[Span]) -> tuple[int, int] | None:
        """Median and 95th percentile of the figure, over windows before."""
        return usual(before.windows, self.figure, without)

    def outlook(self, now: Observed, before: Before, without: Sequence[Span]) -> Usual | None:
        """What is usual, for a reader: also where `usual` sees at once that there is nothing to judge."""
        return self.usual(now, before, without)

    def look(self, now: Observed, before: Before, without: Sequence[Span]) -> Observed:
        """`now` with what its last days tell."""
        return now

    def active(self, now: Observed, than: Usual) -> bool:
        figure = self.figure(now)
        return figure is not None and figure >= than.threshold and self.frozen(than).worth(now)

    def frozen(self, than: Usual) -> Self:
        """The rule as it judges an alert that began under this threshold: a number that was raised since does not end it."""
        return self
