"""What every detector is: values of one series in, one judgement for each out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import isfinite
from typing import Any, ClassVar, Final, Literal, NamedTuple

State = dict[str, Any]
"""Numbers, strings, and lists and dicts of them: JSON carries it without loss."""

Component = Literal["none", "spike", "season", "level", "drift", "spread"]
"""What moved: the single value, the value for its hour of the week, the mean of the last values, the mean over a long time, or how
much the values vary (`spread`; a series that falls flat is one that varies less)."""

LARGEST: Final = 1e150
"""Values beyond it are taken as this, so that no square overflows."""


class Judgement(NamedTuple):
    """What a detector says of one value."""

    score: float
    """0 usual .. 1 most unusual. Which score is worth an alert is the caller's choice."""
    component: Component
    """What is the most unusual."""
    observed: float
    """What was judged, in the unit of the series: the value itself or the mean of the last ones."""
    low: float
    high: float
    """The range in which `observed` was expected; a side that does not matter is infinite."""
    since_us: int
    """When it became unusual; the stamp of the value itself while it is not."""


class Kept:
    """Something with a state: attributes named in KEPT that hold numbers, lists of numbers, or others of its kind."""

    KEPT: ClassVar[tuple[str, ...]] = ()

    def state(self) -> State:
        """A copy of all that later judgements depend on, apart from the settings."""
        return {name: _plain(getattr(self, name)) for name in self.KEPT}

    def restore(self, state: State) -> None:
        """Go on where an equally configured object gave `state`, exactly. Raises KeyError if a part is missing."""
        for name in self.KEPT:
            setattr(self, name, _restored(getattr(self, name), state[name]))


class Detector(Kept, ABC):
    """An online detector of one series: it sees each value once, in order, and takes constant time and memory for each.

    A judgement depends on the values up to its own alone. A gap is not observed: the caller leaves out what is missing. Stamps may repeat
    or go back; nothing is sorted.
    """

    def observe(self, at_us: int, value: float) -> Judgement:
        """Judge a value, then learn from it. Raises ValueError if it is not finite."""
        if not isfinite(value):
            raise ValueError("a value must be finite: leave out what is missing")
        return self._observe(at_us, min(LARGEST, max(-LARGEST, float(value))))

    @abstractmethod
    def _observe(self, at_us: int, value: float) -> Judgement: ...


class Since(Kept):
    """Since when something has been unusual."""

    KEPT = ("at_us",)

    def __init__(self) -> None:
        self.at_us = -1

    def follow(self, at_us: int, *, unusual: bool) -> int:
        """The stamp of the first value of the run of unusual ones that this one belongs to; its own if it belongs to none."""
        if not unusual:
            self.at_us = -1
        elif self.at_us < 0:
            self.at_us = at_us
        return self.at_us if unusual else at_us


def _plain(value: Any) -> Any:
    if isinstance(value, Kept):
        return value.state()
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value


def _restored(now: Any, kept: Any) -> Any:
    if isinstance(now, Kept):
        now.restore(kept)
        return now
    if isinstance(now, list):
        if now and isinstance(now[0], Kept):
            return [_restored(part, state) for part, state in zip(now, kept, strict=True)]
        return list(kept)
    return kept
