"""Shorter looks at what a rule of seven days judges: the last one to five days, from the 24h windows that the history keeps.

Money and work that ended vary too much from day to day to judge a day by. Three things do not: how many tokens a request takes, how much of
a whole week's requests two days already took, and how many low-value items were completed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final

from streams.detect.history import Before, Span, usual
from streams.detect.observed import Observed
from streams.windows.measures import DAY_US

WEEK_US: Final = 7 * DAY_US
WORKING_DAYS: Final = 5
LEAST_OF_A_DAY: Final = 100
"""Requests of a day that tell something, per mille of a usual week's: half a working day."""
BUSY_PAIR: Final = 600
"""Requests of two days that are no ordinary growth, per mille of a usual week's; a usual pair of working days has 400."""
PAIR_GROWTH: Final = 1600
"""They must also be that much, per mille, of the same two days of the weeks before: some teams work two days a week."""
LEAST_PAIR: Final = 120
"""Two days that usually have less of a week's requests, per mille, are no measure: a weekend."""
LEAST_WEEKS: Final = 2
LOOKS_DAYS: Final = (1, 2, 3, 5, 7)
LEAST_SURPRISE: Final = 2.4
"""Standard deviations."""


def own_requests(window: Observed) -> int:
    """Requests without the part that, by its cost, was review, operations or exploration."""
    return window.requests * (window.spend - window.enabling) // window.spend if window.spend > 0 else window.requests


def tokens_a_request(window: Observed) -> int | None:
    """In thousandths."""
    return 1000 * window.tokens // window.requests if window.requests > 0 else None


def growth(before: Before, without: Sequence[Span]) -> int:
    """How many times as much as usual the last day or two used, per mille: the larger of tokens a request and requests. 0: nothing to tell."""
    week = usual(before.windows, own_requests, without)
    each = usual(before.windows, tokens_a_request, without)
    if not week or not each or not week[0] or not each[0]:
        return 0
    return max(_heavier(before, week[0], each[0]), _more(before, week[0], without))


def _heavier(before: Before, week: int, each: int) -> int:
    day = before.day(before.end_us)
    enough = 1000 * own_requests(day) >= LEAST_OF_A_DAY * week
    return 1000 * (tokens_a_request(day) or 0) // each if enough else 0


def _more(before: Before, week: int, without: Sequence[Span]) -> int:
    def pair(end_us: int) -> int:
        return own_requests(before.day(end_us)) + own_requests(before.day(end_us - DAY_US))

    now = pair(before.end_us)
    if 1000 * now < BUSY_PAIR * week:
        return 0
    first_us = before.windows[0][0] - WEEK_US
    ends = [before.end_us - weeks * WEEK_US for weeks in range(1, 5)]
    same = sorted(
        pair(end)
        for end in ends
        if end - 2 * DAY_US >= first_us and not any(begin <= end <= last for begin, last in without)
    )
    than = (same[(len(same) - 1) // 2] + same[len(same) // 2]) // 2 if len(same) >= LEAST_WEEKS else 0
    if not than or 1000 * than < LEAST_PAIR * week:
        return 0
    ratio = 1000 * now // than
    return ratio if ratio >= PAIR_GROWTH else 0


def low_value_days(now: Observed, before: Before, without: Sequence[Span]) -> Observed:
    """`now` with the low-value part of what ended in those last days in which it is largest, of all looks in which more low-value items were
    completed than chance explains; `days` 0 if there are none.
    The whole week if nothing is known of the weeks before, as in an alert that lasts.

    Items come one by one, so their number varies like a Poisson's: the square root makes its variance 1/4 (Anscombe 1948).
    """
    found = usual(before.windows, lambda window: window.low_items, without)
    if found is None:
        return now._replace(days=7)
    best, low, ended, items = now, 0, 0, 0
    for number in range(7):
        day = before.day(before.end_us - number * DAY_US)
        low, ended, items = low + day.low_value, ended + day.ended, items + day.low_items
        days = number + 1
        expected = found[0] * min(days, WORKING_DAYS) / WORKING_DAYS
        surprise = 2 * (sqrt(items + 3 / 8) - sqrt(expected + 3 / 8))
        if days in LOOKS_DAYS and surprise >= LEAST_SURPRISE and 2 * items >= 3 * expected:
            larger = not best.days or low * best.ended > best.low_value * ended
            if ended > 0 and larger:
                best = now._replace(days=days, low_value=low, ended=ended)
    return best
