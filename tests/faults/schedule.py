"""What happens when, drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.faults.kinds import KINDS


@dataclass(frozen=True)
class Planned:
    """A fault to come: seconds after the begin, its kind, how long it lasts at least, and the seed of its details."""

    at_s: float
    kind: str
    lasts_s: float
    seed: int


def draw(seed: int, seconds: float, faults: int) -> list[Planned]:
    """`faults` faults spread over `seconds`: every kind, and kill -9 twice, before one comes again, in an order and at times that the seed decides.

    They may overlap; the same arguments give the same schedule.
    """
    random = Random(seed)
    pace_s = seconds / max(faults, 1)
    planned = []
    for number, kind in zip(range(faults), _kinds(random), strict=False):
        _, least_s, most_s = KINDS[kind]
        at_s = pace_s * (number + random.uniform(0.1, 0.9))
        planned.append(Planned(at_s, kind, random.uniform(least_s, most_s), random.getrandbits(32)))
    return planned


def _kinds(random: Random) -> Iterator[str]:
    while True:
        deck = [*KINDS, "worker-killed"]
        random.shuffle(deck)
        yield from deck
