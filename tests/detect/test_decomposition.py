"""Parts of a change of spend: they sum to it exactly, and each stands for what its name says."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect.decomposition import Line, Parts, Use, decompose

LINES = [(tool, model) for tool in ("agent", "chat") for model in ("large", "small", "")]
Stretch = dict[Line, Use]


@st.composite
def uses(draw: st.DrawFn) -> Use:
    """One that is possible: no tokens without requests, no cost without tokens."""
    requests = draw(st.integers(0, 10**6))
    tokens = draw(st.integers(0, 10**10)) if requests else 0
    return Use(requests, tokens, draw(st.integers(0, 10**13)) if tokens else 0)


stretches = st.dictionaries(st.sampled_from(LINES), uses(), max_size=len(LINES))
anything = st.dictionaries(st.sampled_from(LINES), st.builds(Use, *[st.integers(0, 10**13)] * 3), max_size=len(LINES))


def spend(stretch: Stretch) -> int:
    return sum(use.cost for use in stretch.values())


@given(anything, anything)
def test_the_parts_sum_to_the_change(before: Stretch, now: Stretch) -> None:
    assert sum(decompose(before, now)) == spend(now) - spend(before)


@given(stretches, stretches)
@settings(max_examples=50)
def test_they_are_those_of_all_orders(before: Stretch, now: Stretch) -> None:
    """Against the definition, in fractions."""

    def factor(name: int, side: Stretch, other: Stretch, line: Line) -> Fraction:
        if name == 0:
            return Fraction(sum(use.requests for use in side.values()))
        if name == 1:
            side = side if any(use.requests for use in side.values()) else other
            total = sum(use.requests for use in side.values())
            return Fraction(side.get(line, Use()).requests, total) if total else Fraction(0)
        for found in (side.get(line, Use()), other.get(line, Use())):
            if found[name - 2]:
                return Fraction(found[name - 1], found[name - 2])
        return Fraction(0)

    def of(moved: frozenset[int]) -> Fraction:
        total = Fraction(0)
        for line in {*before, *now}:
            product = Fraction(1)
            for name in range(4):
                product *= factor(name, *((now, before) if name in moved else (before, now)), line)
            total += product
        return total

    expected = [Fraction(0)] * 4
    for order in permutations(range(4)):
        for place, name in enumerate(order):
            expected[name] += (of(frozenset(order[: place + 1])) - of(frozenset(order[:place]))) / 24
    largest = float(max(Fraction(spend(before)), Fraction(spend(now)), *(abs(part) for part in expected)))
    for found, right in zip(decompose(before, now), expected, strict=True):
        assert abs(found - right) <= 4 + largest / 1e12


@given(stretches, stretches)
def test_backwards_it_is_the_same_with_the_other_sign(before: Stretch, now: Stretch) -> None:
    for there, back in zip(decompose(before, now), decompose(now, before), strict=True):
        assert abs(there + back) <= 8


@given(stretches, st.integers(2, 9))
def test_a_factor_that_changes_alone_is_the_whole_change(stretch: Stretch, times: int) -> None:
    used = {line: use for line, use in stretch.items() if use.cost}
    scaled = {
        "volume": {line: Use(*(times * figure for figure in use)) for line, use in used.items()},
        "intensity": {line: Use(use.requests, times * use.tokens, times * use.cost) for line, use in used.items()},
        "price": {line: use._replace(cost=times * use.cost) for line, use in used.items()},
    }
    for name, now in scaled.items():
        parts = decompose(used, now)
        assert abs(getattr(parts, name) - (times - 1) * spend(used)) <= 8
        assert sum(abs(part) for part in parts) <= (times - 1) * spend(used) + 16


def test_a_new_tool_that_works_as_the_others_do_is_volume() -> None:
    before = {("chat", "large"): Use(100, 1_000_000, 30_000_000)}
    now = {**before, ("agent", "large"): Use(1100, 11_000_000, 330_000_000)}
    assert decompose(before, now) == Parts(volume=330_000_000, mix=0, intensity=0, price=0)


def test_requests_that_move_to_a_dearer_model_are_mix() -> None:
    before = {("chat", "small"): Use(100, 1_000_000, 1_000_000)}
    now = {("chat", "large"): Use(100, 1_000_000, 15_000_000)}
    assert decompose(before, now) == Parts(volume=0, mix=14_000_000, intensity=0, price=0)


def test_the_first_use_of_all_is_volume() -> None:
    assert decompose({}, {("chat", "large"): Use(5, 500, 70)}) == Parts(70, 0, 0, 0)
    assert decompose({}, {}) == Parts(0, 0, 0, 0)
