"""Why spend changed: split exactly into volume, mix, intensity and price.

Spend of a stretch over its lines (tool, model): C = V * sum of S_i * I_i * P_i, where V is requests in all, S_i the line's share of them, I_i its
tokens a request and P_i its cost a token. A factor's part is its Shapley value: what C changes when the factor goes from before to now while the
others stand where they stand, averaged over the 24 orders in which the four may go (the residual-free decomposition of J. W. Sun, "Changes in
energy consumption and energy intensity", Energy Economics 20, 1998). So the parts sum to the change, and before and now trade places by sign.

A line that is new or gone has no tokens a request and no price on one side: it takes those of the other side. A new tool that works as the others
do is volume; what makes it dearer a request than the rest is mix. Logarithmic methods (LMDI) would call all of it mix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import factorial, fsum
from typing import Final, NamedTuple

_FACTORS: Final = 4
_WEIGHT: Final = [factorial(size) * factorial(_FACTORS - 1 - size) / factorial(_FACTORS) for size in range(_FACTORS)]
"""Share of the orders in which a given set of `size` other factors goes before one."""


Line = tuple[str, str]
"""(tool, model)"""


class Use(NamedTuple):
    """What one line used in a stretch; none is negative. Cost in micro-USD."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0


class Parts(NamedTuple):
    """The change of spend by cause, micro-USD; their sum is the change."""

    volume: int
    """More requests."""
    mix: int
    """Requests shifted to tools and models that cost more a request."""
    intensity: int
    """More tokens a request, of the same tools and models."""
    price: int
    """More money a token, of the same tools and models."""


class _Side(NamedTuple):
    """The factors of one side, by line."""

    requests: Sequence[float]
    """In all: the same for each line."""
    shares: Sequence[float]
    tokens_a_request: Sequence[float]
    cost_a_token: Sequence[float]


def decompose(before: Mapping[Line, Use], now: Mapping[Line, Use]) -> Parts:
    """The parts of the change of spend from `before` to `now`, by line; a line that is not there used nothing.

    Cost without requests or tokens counts as that of one request, of one token. Parts are rounded to the micro-USD; what rounding leaves is put
    to the largest part (the first of the largest), so that they sum to the change exactly.
    """
    lines = sorted({*before, *now}, key=repr)
    was, is_now = ([_counted(side.get(line, Use())) for line in lines] for side in (before, now))
    sides = _factors(is_now, was), _factors(was, is_now)
    spend = {moved: _spend(sides, moved) for moved in product((False, True), repeat=_FACTORS)}
    parts = [
        round(
            fsum(
                _WEIGHT[sum(moved)] * (spend[(*moved[:factor], True, *moved[factor + 1 :])] - of)
                for moved, of in spend.items()
                if not moved[factor]
            )
        )
        for factor in range(_FACTORS)
    ]
    change = sum(use.cost for use in now.values()) - sum(use.cost for use in before.values())
    largest = max(range(_FACTORS), key=lambda factor: abs(parts[factor]))
    parts[largest] += change - sum(parts)
    return Parts(*parts)


def _factors(before: Sequence[Use], now: Sequence[Use]) -> _Side:
    """The factors of `now`; what it lacks is as in `before`."""
    total, other_total = (sum(use.requests for use in side) for side in (now, before))
    pairs = list(zip(now, before, strict=True))
    return _Side(
        (float(total),) * len(now),
        [(mine if total else other).requests / (total or other_total or 1) for mine, other in pairs],
        [_ratio(mine.tokens, mine.requests, other.tokens, other.requests) for mine, other in pairs],
        [_ratio(mine.cost, mine.tokens, other.cost, other.tokens) for mine, other in pairs],
    )


def _counted(use: Use) -> Use:
    tokens = use.tokens or int(use.cost > 0)
    return Use(use.requests or int(tokens > 0), tokens, use.cost)


def _ratio(above: int, below: int, other_above: int, other_below: int) -> float:
    return above / below if below else other_above / (other_below or 1)


def _spend(sides: tuple[_Side, _Side], moved: tuple[bool, ...]) -> float:
    """Spend with the factors that have moved as they are now, the others as they were."""
    factors = [sides[is_now][place] for place, is_now in enumerate(moved)]
    return fsum(volume * share * work * price for volume, share, work, price in zip(*factors, strict=True))
