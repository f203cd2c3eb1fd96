"""Shorter looks at what a rule of seven days judges: its last days, from the 24h windows that the history keeps.

Money and work that ended vary too much from day to day to judge a day by. Three things do not: how many tokens a request takes, how many
requests a day took, held against how uneven the team's days are, and how many low-value items were completed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp, log, sqrt
from typing import Final, NamedTuple

from streams.detect.detectors.baseline import Standard
from streams.detect.detectors.drift import Drift
from streams.detect.history import Before, Span, usual
from streams.detect.observed import Observed
from streams.windows.measures import DAY_US

WEEK_US: Final = 7 * DAY_US
WORKING_DAYS: Final = 5
DRIFT_DAYS: Final = 7
"""How far back a sum of deviations begins."""
SLACK: Final = 1.75
LIMIT: Final = 0.5
"""Of the sum, in standard deviations: one day of 2.25 tells a drift, or two of two each."""
LEAST_OF_A_DAY: Final = 25
"""Requests of a day that tell how many tokens one takes, per mille of a usual week's: an eighth of a working day."""
LEAST_USUAL: Final = 60
"""Requests of a day that is a measure for others, per mille of a usual week's: fewer are a weekend's."""
NOISE_OF_REQUESTS: Final = 0.24
NOISE_OF_TOKENS: Final = 0.12
"""Standard deviation of a day, where nothing is known of the team: of the logarithm of requests, of tokens a request."""
KNOWN_DAYS: Final = 8
"""Days that the deviation where nothing is known counts as."""
ALIKE: Final = 40
"""Requests that chance moves together: a session has about twenty, and sessions differ so much that a few long ones count for twice as many. What
chance adds to the variance of the logarithm is this over the requests. How many tokens a request takes differs half as much as how many there are."""
LEAST_WEEKS: Final = 2
LOOKS_DAYS: Final = (1, 2, 3, 5, 7)
LEAST_SURPRISE: Final = 1.9
"""Standard deviations."""


class Day(NamedTuple):
    """A day beside what is usual for it, in one unit; `deviation`: standard deviation of the logarithm of their ratio."""

    end_us: int
    now: int
    usual: int
    deviation: float


class Pace(NamedTuple):
    """The days of a drift, per mille of what is usual for them, and when the first of them began. 0 and 0 without one."""

    per_mille: int = 0
    since_us: int = 0


def own_requests(window: Observed) -> int:
    """Requests without the part that, by its cost, was review, operations or exploration."""
    return window.requests * (window.spend - window.enabling) // window.spend if window.spend > 0 else window.requests


def price(window: Observed) -> int | None:
    """Micro-USD of a million tokens."""
    return window.spend * 1_000_000 // window.tokens if window.tokens > 0 else None


def tokens_a_request(window: Observed) -> int | None:
    """In thousandths."""
    return 1000 * window.tokens // window.requests if window.requests > 0 else None


def heavier(before: Before, without: Sequence[Span]) -> Pace:
    """Tokens a request since they began to drift."""
    week = usual(before.windows, own_requests, without)
    each = usual(before.windows, tokens_a_request, without)
    return _since_it_drifts(days_of_tokens(before, week[0], each[0], without)) if week and each and each[0] else Pace()


def busier(before: Before, without: Sequence[Span]) -> Pace:
    """Requests since they began to drift."""
    week = usual(before.windows, own_requests, without)
    return _since_it_drifts(days_of_requests(before, week[0], without)) if week and week[0] else Pace()


def _since_it_drifts(days: Iterator[Day]) -> Pace:
    drift, seen, since_us = Drift(Standard(), SLACK, LIMIT), list[Day](), 0
    for day in days:
        judged = drift.observe(day.end_us, log(day.now / day.usual) / day.deviation)
        since_us = judged.since_us if judged.component == "drift" else 0
        seen.append(day)
    if not since_us:
        return Pace()
    drifted = [day for day in seen if day.end_us >= since_us]
    per_mille = 1000 * sum(day.now for day in drifted) // sum(day.usual for day in drifted)
    return Pace(per_mille, since_us - DAY_US)


def days_of_tokens(before: Before, week: int, each: int, without: Sequence[Span]) -> Iterator[Day]:
    """Tokens of the last days beside those that as many requests usually take."""
    squares = [
        log(tokens / each) ** 2
        for days in range(7, 28)
        if _known(before, end := before.end_us - days * DAY_US, without)
        and (tokens := tokens_a_request(before.day(end)))
        and 1000 * own_requests(before.day(end)) >= LEAST_USUAL * week
    ]
    variance = _shrunk(squares, NOISE_OF_TOKENS)
    for end in _last_days(before):
        requests, tokens = own_requests(before.day(end)), tokens_a_request(before.day(end))
        if tokens and requests > 0 and 1000 * requests >= LEAST_OF_A_DAY * week:
            yield Day(end, requests * tokens, requests * each, sqrt(variance + ALIKE / 2 / requests))


def days_of_requests(before: Before, week: int, without: Sequence[Span]) -> Iterator[Day]:
    """Requests of the last days beside those of the same days of the weeks before, but for weekends."""
    squares = []
    for days in range(7, 28):
        ends = [before.end_us - days * DAY_US, before.end_us - days * DAY_US - WEEK_US]
        then = [own_requests(before.day(end)) for end in ends]
        if all(_known(before, end, without) for end in ends) and 1000 * min(then) >= LEAST_USUAL * week:
            squares.append(log(then[0] / then[1]) ** 2 / 2)
    variance = _shrunk(squares, NOISE_OF_REQUESTS)
    for end in _last_days(before):
        weeks = [end - number * WEEK_US for number in range(1, 5)]
        of_weeks = [own_requests(before.day(of)) for of in weeks if _known(before, of, without)]
        same = [requests for requests in of_weeks if requests and 1000 * requests >= LEAST_USUAL * week]
        than = round(exp(sum(map(log, same)) / len(same))) if len(same) >= LEAST_WEEKS else 0
        now = own_requests(before.day(end))
        if now > 0 and than:
            yield Day(end, now, than, sqrt(variance + ALIKE / than))


def _last_days(before: Before) -> Iterator[int]:
    return (before.end_us - days * DAY_US for days in reversed(range(DRIFT_DAYS)))


def _shrunk(squares: Sequence[float], noise: float) -> float:
    """A variance, shrunk to the usual one while few days are known."""
    return (sum(squares) + KNOWN_DAYS * noise**2) / (len(squares) + KNOWN_DAYS)


def _known(before: Before, end_us: int, without: Sequence[Span]) -> bool:
    """Whether the day up to then is part of what is usual: within the team's usage, and outside the spans."""
    began = before.windows[0][0] - WEEK_US <= end_us - DAY_US
    return began and not any(begin <= end_us <= last for begin, last in without)


def low_value_days(now: Observed, before: Before, without: Sequence[Span], floor_micro_usd: int) -> Observed:
    """`now` with the low-value part of what ended in those last days in which it is largest, of all looks in which it cost enough and more low-value
    items were completed than chance explains; `days` 0 if there are none. `floor_micro_usd`: of a week.
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
        if days not in LOOKS_DAYS or ended <= 0 or 7 * low < floor_micro_usd * days:
            continue
        larger = not best.days or low * best.ended > best.low_value * ended
        if larger and surprise >= LEAST_SURPRISE and 2 * items >= 3 * expected:
            best = now._replace(days=days, low_value=low, ended=ended)
    return best
