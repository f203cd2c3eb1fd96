"""What a detector holds values against."""

from __future__ import annotations

from abc import ABC, abstractmethod

from streams.detect.detectors.detector import Kept


class Baseline(Kept, ABC):
    """What is usual. `scale`: the usual distance from what is expected, in the unit of the series."""

    scale: float

    @property
    @abstractmethod
    def known(self) -> bool:
        """Whether enough was learnt to judge by."""

    @abstractmethod
    def begin(self, at_us: int, value: float) -> None:
        """Expect the first value where it is. Called before each; later ones change nothing."""

    @abstractmethod
    def expected(self, at_us: int) -> float:
        """What a value at this moment should be."""

    @abstractmethod
    def learn(self, at_us: int, value: float) -> None:
        """Take a value in."""


class Standard(Baseline):
    """Of values that are deviations already, in standard deviations: 0 is expected, and nothing is learnt."""

    scale = 1.0
    known = True

    def begin(self, at_us: int, value: float) -> None:
        pass

    def expected(self, at_us: int) -> float:
        return 0.0

    def learn(self, at_us: int, value: float) -> None:
        pass
