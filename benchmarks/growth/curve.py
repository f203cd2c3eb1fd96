"""Points of a curve and the slope through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

Point = dict[str, Any]
"""`x` and what was measured there, by name. A name that ends in _us, _ms, _s, _bytes or _mib has this unit; `us`: CPU microseconds."""

FLAT: Final = 1.1
"""Factor per decade up to which a curve counts as flat, and by which another may be steeper than a logarithm: the machine is shared."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a run is: usage events of a stretch that is timed, stretches (the least counts), decades that curves leave off their end, and
    decades by which they begin and end earlier."""

    name: str
    stretch: int
    runs: int
    fewer: int
    smaller: int = 0


FULL: Final = Scale("full", 100_000, 3, 0)
QUICK: Final = Scale("quick", 40_000, 2, 1)
TINY: Final = Scale("tiny", 2_000, 1, 1, 2)
"""For tests."""


@dataclass(frozen=True, slots=True)
class Curve:
    """`x`: what is varied. `values`: of a point, by name, with their titles; growth is told of `fitted`. `reason`: why it rises as it does.

    kind: `decades`: x is a number of something; `steps`: x is a share or has a few values; `parts`: x names something, and nothing grows.
    """

    name: str
    x: str
    values: dict[str, str]
    fitted: tuple[str, ...]
    reason: str
    measure: Callable[[Scale], Iterator[Point]]
    kind: Literal["decades", "steps", "parts"] = "decades"


def decades(first: int, last: int, scale: Scale) -> list[int]:
    """Powers of ten from 10^first to 10^last, as far as the scale goes; at least two."""
    first, last = max(first - scale.smaller, 0), last - scale.smaller - scale.fewer
    return [10**power for power in range(first, max(last, first + 1) + 1)]


def per_decade(xs: Sequence[float], ys: Sequence[float]) -> float:
    """By how much y is multiplied when x is multiplied by ten: the straight line through the logarithms, least squares."""
    slope = np.polyfit(np.log10(np.asarray(xs, float)), np.log10(np.maximum(np.asarray(ys, float), 1e-9)), 1)[0]
    return float(10**slope)


def growth(points: Sequence[Point], fitted: Sequence[str], kind: str) -> dict[str, dict[str, Any]]:
    """By value how it grows. Of decades `factor`, per decade of all points, `end`, of the upper half of them, `logarithm`, what log(1 + x) rises by
    in that half, and a `verdict`: flat, falls, at most logarithmic, more than logarithmic. Of steps `factor`, from the first point to the last.

    CPU times count as multiples of the point's calibration, so that a machine that was slower for a while does not bend the curve.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in fitted:
        with_it = [point for point in points if point.get(name)]
        if len(with_it) < 2:
            continue
        is_cpu = name == "us" or name.endswith("_us")
        ys = [point[name] / (point["calibration_ms"] if is_cpu else 1.0) for point in with_it]
        if kind == "steps":
            found[name] = {"factor": round(ys[-1] / ys[0], 2)}
        elif kind == "decades":
            found[name] = _grown([point["x"] for point in with_it], ys)
    return found


def _grown(xs: Sequence[float], ys: Sequence[float]) -> dict[str, Any]:
    half = min(len(xs) // 2, len(xs) - 2)
    logarithm = np.log1p(np.asarray(xs, float)).tolist()
    whole, end = per_decade(xs, ys), per_decade(xs[half:], ys[half:])
    most, most_end = per_decade(xs, logarithm), per_decade(xs[half:], logarithm[half:])
    if max(whole, end) <= FLAT:
        verdict = "flat" if whole >= 1 / FLAT else "falls"
    else:
        within = whole <= FLAT * most and end <= FLAT * most_end
        verdict = "at most logarithmic" if within else "more than logarithmic"
    return {"factor": round(whole, 2), "end": round(end, 2), "logarithm": round(most_end, 2), "verdict": verdict}
