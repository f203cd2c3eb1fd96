"""Shorter looks at what a rule of seven days judges: the last one to five days, from the 24h windows that the history keeps.

Money and work that ended vary too much from day to day to judge a day by. Three things do not: how many tokens a request takes, how many
requests a day or two took, held against how uneven the team's days are, and how many low-value items were completed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from typing import Final, NamedTuple

from streams.detect.history import Before, Span, usual
from streams.detect.observed import Observed
from streams.windows.measures import DAY_US

WEEK_US: Final = 7 * DAY_US
WORKING_DAYS: Final = 5
LEAST_OF_A_DAY: Final = 25
"""Requests of a day that tell how many tokens one takes, per mille of a usual week's: an eighth of a working day."""
LEAST_EVIDENCE: Final = 8
"""Logarithm of the tokens a request, as a factor of the usual, times the square root of the requests: half as much again needs about 400.

Requests of a session are alike, so chance is that of sessions: about twice what it explains where one has twenty requests.
"""


class Busy(NamedTuple):
    """From what on the requests of the last `days` are more than usual.

    `least`: per mille of a usual week's; a working day has 200. `least_usual`: what the same days of the weeks before must have had at least,
    else they are a weekend and no measure. `surprise`: standard deviations of such days. `noise`: such a deviation where nothing is known of
    the team, as a logarithm.
    """

    days: int
    least: int
    least_usual: int
    surprise: float
    noise: float


BUSY: Final = (Busy(1, 250, 60, 3.5, 0.28), Busy(2, 500, 120, 1.6, 0.25))
LEAST_GROWTH: Final = 1900
"""They must also be that much, per mille, of those of the weeks before."""
KNOWN_DAYS: Final = 8
"""Days that the deviation where nothing is known counts as."""
ALIKE: Final = 10
"""Requests that come together, half a session: what chance adds to the variance is this over the requests."""
LEAST_WEEKS: Final = 2
LOOKS_DAYS: Final = (1, 2, 3, 5, 7)
LEAST_SURPRISE: Final = 2.4
"""Standard deviations."""


def own_requests(window: Observed) -> int:
    """Requests without the part that, by its cost, was review, operations or exploration."""
    return window.requests * (window.spend - window.enabling) // window.spend if window.spend > 0 else window.requests


def price(window: Observed) -> int | None:
    """Micro-USD of a million tokens."""
    return window.spend * 1_000_000 // window.tokens if window.tokens > 0 else None


def tokens_a_request(window: Observed) -> int | None:
    """In thousandths."""
    return 1000 * window.tokens // window.requests if window.requests > 0 else None


def heavier(before: Before, without: Sequence[Span]) -> int:
    """Tokens a request of the last day, per mille of the usual. 0: nothing to tell, or chance explains it."""
    week = usual(before.windows, own_requests, without)
    each = usual(before.windows, tokens_a_request, without)
    day = before.day(before.end_us)
    requests, tokens = own_requests(day), tokens_a_request(day)
    if not week or not each or not each[0] or not tokens or 1000 * requests < LEAST_OF_A_DAY * week[0]:
        return 0
    told = log(tokens / each[0]) * sqrt(requests) >= LEAST_EVIDENCE
    return 1000 * tokens // each[0] if told else 0


def busier(before: Before, without: Sequence[Span]) -> int:
    """Requests of the last day or two, per mille of those of the same days of the weeks before: the larger. 0: nothing to tell, or the team's
    days differ as much."""
    week = usual(before.windows, own_requests, without)
    return max(_busier(before, week[0], busy, without) for busy in BUSY) if week and week[0] else 0


def _busier(before: Before, week: int, busy: Busy, without: Sequence[Span]) -> int:
    now = _requests(before, before.end_us, busy.days)
    if 1000 * now < busy.least * week:
        return 0
    ends = [before.end_us - weeks * WEEK_US for weeks in range(1, 5)]
    same = sorted(_requests(before, end, busy.days) for end in ends if _known(before, end, busy.days, without))
    than = (same[(len(same) - 1) // 2] + same[len(same) // 2]) // 2 if len(same) >= LEAST_WEEKS else 0
    if not than or 1000 * than < busy.least_usual * week or 1000 * now < LEAST_GROWTH * than:
        return 0
    deviation = sqrt(_unevenness(before, week, busy, without) + ALIKE / than)
    return 1000 * now // than if log(now / than) >= busy.surprise * deviation else 0


def _unevenness(before: Before, week: int, busy: Busy, without: Sequence[Span]) -> float:
    """Variance of the logarithm of the requests of so many days, from how they differ from those a week earlier, over three weeks."""
    least = BUSY[0].least_usual * week
    squares = []
    for days in range(7, 28):
        end = before.end_us - days * DAY_US
        if all(_known(before, of, busy.days, without) for of in (end, end - WEEK_US)):
            then, earlier = (_requests(before, of, busy.days) for of in (end, end - WEEK_US))
            if 1000 * min(then, earlier) >= least > 0:
                squares.append(log(then / earlier) ** 2 / 2)
    return (sum(squares) + KNOWN_DAYS * busy.noise**2) / (len(squares) + KNOWN_DAYS)


def _requests(before: Before, end_us: int, days: int) -> int:
    return sum(own_requests(before.day(end_us - day * DAY_US)) for day in range(days))


def _known(before: Before, end_us: int, days: int, without: Sequence[Span]) -> bool:
    """Whether the days up to then are part of what is usual: within the team's usage, and outside the spans."""
    began = before.windows[0][0] - WEEK_US <= end_us - days * DAY_US
    return began and not any(begin <= end_us <= last for begin, last in without)


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
