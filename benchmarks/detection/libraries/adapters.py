"""Detectors of libraries behind the interface of streams.detect.detectors: one configuration each, chosen before it was measured.

They see what every detector sees: one value after the other. What a library wants in a certain range or scale is scaled by what was seen so
far. Those that judge points of several numbers get the last ten values. None tells a range, or what moved.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import Any, Final

import numpy as np
import rrcf
import stumpy
from pysad import models as pysad
from river import anomaly, drift, preprocessing, time_series

from streams.detect.detectors.detector import Detector, Judgement

_SHINGLE: Final = 10
_FIRST: Final = 150
"""Values that some take before they begin: fewer than the shortest probation of the corpus."""


class Library(Detector, ABC):
    """Its raw score, not negative, becomes s / (1 + s)."""

    def _observe(self, at_us: int, value: float) -> Judgement:
        raw = self.raw(value)
        raw = max(raw, 0.0) if isfinite(raw) else 0.0
        return Judgement(raw / (1 + raw), "none", value, -inf, inf, at_us)

    @abstractmethod
    def raw(self, value: float) -> float:
        """The library's own score of a value, which it then learns."""


class RiverScorer(Library):
    """A univariate scorer of river."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.seen = 0

    def raw(self, value: float) -> float:
        self.seen += 1
        found = float(self.model.score_one(None, value)) if self.seen > _SHINGLE else 0.0
        self.model.learn_one(None, value)
        return found


class RiverPoints(Library):
    """A scorer of river for points: the last ten values."""

    def __init__(self, model: Any, scaler: Any) -> None:
        self.model, self.scaler = model, scaler
        self.recent: deque[float] = deque(maxlen=_SHINGLE)

    def raw(self, value: float) -> float:
        self.scaler.learn_one({0: value})
        self.recent.append(self.scaler.transform_one({0: value})[0])
        if len(self.recent) < _SHINGLE:
            return 0.0
        point = dict(enumerate(self.recent))
        found = float(self.model.score_one(point))
        self.model.learn_one(point)
        return found


class RiverForecast(Library):
    """Distance from a forecast of river, in mean distances."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.seen, self.mean = 0, 0.0

    def raw(self, value: float) -> float:
        off = abs(value - self.model.forecast(1)[0]) if self.seen > _SHINGLE else 0.0
        off = off if isfinite(off) else 0.0
        found = off / self.mean if self.mean > 0 else 0.0
        self.seen += 1
        self.mean += max(0.001, 1 / self.seen) * (off - self.mean)
        self.model.learn_one(value)
        return found


class RiverDrift(Library):
    """A drift detector of river: 1 when it tells one."""

    def __init__(self, model: Any) -> None:
        self.model, self.scaler = model, preprocessing.StandardScaler()

    def raw(self, value: float) -> float:
        self.scaler.learn_one({0: value})
        self.model.update(self.scaler.transform_one({0: value})[0])
        return float(self.model.drift_detected)


class Pysad(Library):
    """A model of pysad: of the value, or of the last ten."""

    def __init__(self, model: Any, size: int = 1) -> None:
        self.model = model
        self.recent: deque[float] = deque(maxlen=size)

    def raw(self, value: float) -> float:
        self.recent.append(value)
        if len(self.recent) < (self.recent.maxlen or 1):
            return 0.0
        found = self.model.fit_score_partial(np.array(self.recent))
        return 0.0 if found is None else float(np.ravel(found)[0])


class RandomCutForest(Library):
    """Robust random cut forest (Guha et al. 2016), rrcf: 20 trees of the last 128 points of ten values; the mean collusive displacement."""

    TREES, SIZE = 20, 128

    def __init__(self) -> None:
        self.model = [rrcf.RCTree(random_state=number) for number in range(self.TREES)]
        self.recent: deque[float] = deque(maxlen=_SHINGLE)
        self.row = 0

    def raw(self, value: float) -> float:
        self.recent.append(value)
        if len(self.recent) < _SHINGLE:
            return 0.0
        self.row += 1
        found = 0.0
        for tree in self.model:
            if len(tree.leaves) >= self.SIZE:
                tree.forget_point(self.row - self.SIZE)
            tree.insert_point(np.array(self.recent), index=self.row)
            found += tree.codisp(self.row)
        return found / self.TREES


class MatrixProfile(Library):
    """Left matrix profile of stumpy: how far the last 48 values are from the nearest 48 before. It keeps all values."""

    LENGTH = 48

    def __init__(self) -> None:
        self.first: list[float] = []
        self.model: Any = None

    def raw(self, value: float) -> float:
        if self.model is None:
            self.first.append(value)
            if len(self.first) == _FIRST:
                self.model = stumpy.stumpi(np.array(self.first), self.LENGTH, egress=False)
            return 0.0
        self.model.update(value)
        return float(self.model.left_P_[-1])


warnings.filterwarnings("ignore")

LIBRARIES: Final[Mapping[str, Callable[[], Library]]] = {
    "river GaussianScorer": lambda: RiverScorer(anomaly.GaussianScorer()),
    "river StandardAbsoluteDeviation": lambda: RiverScorer(anomaly.StandardAbsoluteDeviation()),
    "river PredictiveAnomalyDetection": lambda: RiverScorer(
        anomaly.PredictiveAnomalyDetection(time_series.HoltWinters(0.3, 0.1), warmup_period=_SHINGLE)
    ),
    "river HoltWinters": lambda: RiverForecast(time_series.HoltWinters(0.3, 0.1)),
    "river SNARIMAX": lambda: RiverForecast(time_series.SNARIMAX(p=_SHINGLE, d=0, q=0)),
    "river HalfSpaceTrees": lambda: RiverPoints(anomaly.HalfSpaceTrees(seed=1), preprocessing.MinMaxScaler()),
    "river OneClassSVM": lambda: RiverPoints(anomaly.OneClassSVM(), preprocessing.StandardScaler()),
    "river ADWIN": lambda: RiverDrift(drift.ADWIN()),
    "river PageHinkley": lambda: RiverDrift(drift.PageHinkley()),
    "river KSWIN": lambda: RiverDrift(drift.KSWIN(seed=1)),
    "pysad KNNCAD": lambda: Pysad(pysad.KNNCAD(_FIRST)),
    "pysad LODA": lambda: Pysad(pysad.LODA(random_state=1), _SHINGLE),
    "rrcf": RandomCutForest,
    "stumpy stumpi": MatrixProfile,
}
