"""What a team uses and completes in each cell of five minutes: its ordinary life, and what happens to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks.detection.happenings import Happening
from benchmarks.detection.teams import DAY, HOUR, WEEK, Floats, Ints, Team

UNATTRIBUTED, ENABLING, LOW, SUPPORTING, CORE = range(5)
MEASURES: Final = (
    "spend",
    "unattributed",
    "enabling",
    "matched",
    "matched_core",
    "matched_low",
    "abandoned",
    "items",
    "low_items",
    "repeated",
    "core_value",
    "requests",
    "tokens",
)
"""Money in micro-USD, value in milli-units."""
_LASTS: Final = (2, 6, 18)
"""Cells that short, ordinary and long sessions last: those of few, ordinary and many requests."""
_LOOPS: Final = ("agent_loop", "dear_loop")
_VALUES: Final = np.array([333, 500, 500, 667, 1000, 1000, 1000, 1667, 2667])


@dataclass
class Course:
    """How the cells of one team differ from ordinary ones, as factors and shares."""

    cells: int
    pace: Floats = field(init=False)
    """Usage, and the work that follows it."""
    use: Floats = field(init=False)
    """Usage alone."""
    price: Floats = field(init=False)
    bloat: Floats = field(init=False)
    """Tokens of a request."""
    lost: Floats = field(init=False)
    heard: Floats = field(init=False)
    lower: Floats = field(init=False)
    core: Floats = field(init=False)
    """Core completions alone."""
    repeated: Floats = field(init=False)

    def __post_init__(self) -> None:
        for name in ("pace", "use", "price", "bloat", "heard", "core"):
            setattr(self, name, np.ones(self.cells))
        for name in ("lost", "lower", "repeated"):
            setattr(self, name, np.zeros(self.cells))


def live(rng: np.random.Generator, team: Team, cells: int, happenings: Sequence[Happening]) -> dict[str, Ints]:
    """MEASURES of each cell."""
    course = Course(cells)
    _ordinary(rng, team, course)
    for happening in happenings:
        _happen(rng, team, course, happening)
    rhythm = team.rhythm(cells)
    start, kind = _sessions(rng, team, course, rhythm)
    usd, tokens, requests = _amounts(rng, team, course, start)
    lasts = np.digitize(requests, (0.5 * team.requests, 1.5 * team.requests))
    for happening in happenings:
        if happening.kind in (*_LOOPS, "incident_week", "batch_job"):
            busy = _busy_hour(start, usd, cells) * course.price[happening.begin]
            added = _extra(rng, team, happening, busy)
            dear = rng.uniform(2, 10) if happening.kind == "dear_loop" else 1.0
            at_usual_price = added[2] / course.price[added[0]] / dear
            start, kind = np.concatenate((start, added[0])), np.concatenate((kind, added[1]))
            usd = np.concatenate((usd, added[2]))
            tokens = np.concatenate((tokens, 1e6 * at_usual_price / team.usd_per_mtok))
            lasts = np.concatenate((lasts, np.zeros(len(added[0]), np.int64)))
            requests = np.concatenate((requests, np.maximum(at_usual_price / team.usd * team.requests, 1)))
    out = _usage(rng, course, start, kind, lasts, usd, tokens, requests)
    out |= _completions(rng, team, course, rhythm, start, kind, usd)
    _loops(happenings, out)
    for happening in happenings:
        if happening.kind == "bulk_close":
            _close_in_bulk(rng, team, happening, out)
    return {name: np.rint(out[name]).astype(np.int64) for name in MEASURES}


def _ordinary(rng: np.random.Generator, team: Team, course: Course) -> None:
    """Days and weeks differ by more than chance: a noisy day carries over to the next."""
    days = course.cells // DAY + 1
    noise, value = np.empty(days), 0.0
    for day in range(days):
        value = 0.4 * value + rng.normal(0, team.day_noise * 0.92)
        noise[day] = value
    weeks = rng.normal(0, team.week_noise, course.cells // WEEK + 1)
    at = np.arange(course.cells)
    course.pace *= np.exp(noise[at // DAY] + weeks[at // WEEK])
    course.repeated += rng.uniform(0, 0.02)


def _happen(rng: np.random.Generator, team: Team, course: Course, happening: Happening) -> None:
    kind, size = happening.kind, happening.size
    during, after = slice(happening.begin, happening.end), slice(happening.begin, course.cells)
    if kind == "spend_up":
        ramp = np.minimum(np.arange(happening.end - happening.begin) / (size * DAY / 4) + 0.25, 1)
        (course.bloat if rng.random() < 0.5 else course.use)[during] *= 1 + (size - 1) * ramp
        course.core[during] *= rng.uniform(0.9, 1.05)
    elif kind == "low_value":
        course.lower[during] = size
        course.core[during] *= 1 - size / 2
    elif kind == "hook_broken":
        course.lost[during] = size
    elif kind == "repeated":
        course.repeated[during] = size
        course.use[during] /= 1 - size
    elif kind == "dead_feed":
        course.heard[during] = 1 - size
    elif kind in ("holiday", "half_day", "shutdown"):
        left = 0.0 if size < 0.25 else 0.15 * size
        going = np.ones(happening.end - happening.begin)
        if kind == "half_day":  # people leave within an hour and a half
            going = np.minimum(np.arange(len(going)) / (1.5 * HOUR), 1)
        course.pace[during] *= 1 - (1 - left) * going
    elif kind == "release":
        course.pace[during] *= 1.3 + 0.5 * size
    elif kind == "growth":
        ramp = np.minimum(np.arange(course.cells - happening.begin) / (42 * DAY), 1)
        course.pace[after] *= 1 + (0.6 + size) * ramp
    elif kind == "team_grows":
        course.pace[after] *= 1.25 + 0.5 * size
    elif kind == "team_shrinks":
        course.pace[after] *= 0.75 - 0.25 * size
    elif kind == "model_upgrade":
        course.price[after] *= 1.5 + 4 * size if size < 0.5 else 20 * size  # half of them 10 to 20 times
    elif kind == "price_change":
        course.price[after] *= 0.5 * 10**size


def _sessions(rng: np.random.Generator, team: Team, course: Course, rhythm: Floats) -> tuple[Ints, Ints]:
    """First cell and kind of each session."""
    rate = rhythm * course.pace * course.use * team.people * team.sessions
    start = np.repeat(np.arange(course.cells), rng.poisson(rate))
    shares = np.cumsum([team.unattributed, team.enabling, team.low_value, team.supporting])
    kind = np.searchsorted(shares, rng.random(len(start)))
    moved = (kind >= SUPPORTING) & (rng.random(len(start)) < course.lower[start])
    kind[moved] = LOW
    kind[(kind != ENABLING) & (rng.random(len(start)) < course.lost[start])] = UNATTRIBUTED
    return start, kind


def _amounts(rng: np.random.Generator, team: Team, course: Course, start: Ints) -> tuple[Floats, Floats, Floats]:
    """USD, tokens and requests of each session: heavy-tailed."""
    count = len(start)
    requests = np.maximum(np.rint(team.requests * rng.lognormal(-0.32, 0.8, count)), 1)
    per_request = 1e6 * team.usd / team.usd_per_mtok / team.requests * rng.lognormal(-0.18, 0.6, count)
    tokens = requests * per_request * course.bloat[start]
    return tokens * team.usd_per_mtok * course.price[start] * rng.lognormal(-0.03, 0.25, count) / 1e6, tokens, requests


def _busy_hour(start: Ints, usd: Floats, cells: int) -> float:
    """USD of a busy hour: the 95th percentile of the hours of the first three weeks."""
    hours = np.bincount(start // HOUR, usd, cells // HOUR)[: 21 * 24]
    return float(np.quantile(hours, 0.95))


def _extra(rng: np.random.Generator, team: Team, happening: Happening, busy_usd: float) -> tuple[Ints, Ints, Floats]:
    """First cell, kind and USD of sessions on top of the ordinary ones, a hundred an hour."""
    span = np.arange(happening.begin, happening.end)
    if happening.kind in _LOOPS:
        an_hour = happening.size * busy_usd
        if happening.strength != "weak":
            an_hour = max(an_hour, {"strong": 250.0, "moderate": 135.0}[happening.strength])
        kinds = UNATTRIBUTED if rng.random() < 0.6 else CORE
    elif happening.kind == "incident_week":
        an_hour, kinds = (0.5 + 1.5 * happening.size) * busy_usd, ENABLING
        span = span[np.sin(span / DAY * 5 + happening.size * 6) > 0]  # it burns for hours, then rests
    else:
        an_hour, kinds = (0.8 + 2 * happening.size) * busy_usd, CORE if rng.random() < 0.7 else ENABLING
    start = np.repeat(span, rng.poisson(100 / HOUR, len(span)))
    return start, np.full(len(start), kinds), an_hour / 100 * rng.lognormal(-0.18, 0.6, len(start))


def _usage(
    rng: np.random.Generator,
    course: Course,
    start: Ints,
    kind: Ints,
    lasts: Ints,
    usd: Floats,
    tokens: Floats,
    requests: Floats,
) -> dict[str, Floats]:
    heard = rng.random(len(start)) < course.heard[start]

    def over_cells(amount: Floats, which: Ints | None = None) -> Floats:
        chosen = heard if which is None else heard & which.astype(bool)
        spread = np.zeros(course.cells)
        for length, long in enumerate(_LASTS):
            of = chosen & (lasts == length)
            sums = np.bincount(start[of], amount[of], course.cells)
            spread += np.convolve(sums, np.full(long, 1 / long))[: course.cells]
        spread[course.heard == 0] = 0
        return spread

    asked = over_cells(requests)
    return {
        "spend": 1e6 * over_cells(usd),
        "unattributed": 1e6 * over_cells(usd, kind == UNATTRIBUTED),
        "enabling": 1e6 * over_cells(usd, kind == ENABLING),
        "requests": asked,
        "tokens": over_cells(tokens),
        "repeated": np.floor(asked * course.repeated + rng.random(course.cells)) * (asked >= 1),
    }


def _loops(happenings: Sequence[Happening], out: dict[str, Floats]) -> None:
    """An agent in a loop asks the same again."""
    for happening in happenings:
        if happening.kind in _LOOPS:
            during = slice(happening.begin, happening.end)
            out["repeated"][during] = np.floor(0.8 * out["requests"][during])


def _completions(
    rng: np.random.Generator, team: Team, course: Course, rhythm: Floats, start: Ints, kind: Ints, usd: Floats
) -> dict[str, Floats]:
    """Items are completed days after the usage that made them; each is matched with the sessions spent on it."""
    out = {
        name: np.zeros(course.cells)
        for name in ("matched", "matched_core", "matched_low", "abandoned", "items", "low_items", "core_value")
    }
    pace = _lagging(course.pace, rhythm)
    low = team.low_items * (1 + course.lower / max(team.low_value, 0.03))
    plans = ((CORE, team.core_items * course.core, 1.5), (SUPPORTING, team.other_items, 1.2), (LOW, low, 0.4))
    open_days = (course.pace > 0) * rhythm * pace
    for of, rate, held in plans:
        ends = np.repeat(np.arange(course.cells), rng.poisson(open_days * rate * team.people))
        if not len(ends):
            continue
        chosen = kind == of
        begun = start[chosen]
        order = np.searchsorted(ends, begun) + rng.integers(0, max(round(held * team.people), 2), len(begun))
        done = order < len(ends)
        cost = 1e6 * np.bincount(order[done], usd[chosen][done], len(ends))
        canceled = rng.random(len(ends)) < 0.05
        out["abandoned"] += np.bincount(ends[canceled], cost[canceled], course.cells)
        kept, kept_cost = ends[~canceled], cost[~canceled]
        matched = np.bincount(kept, np.rint(kept_cost), course.cells)
        out["matched"] += matched
        out["items"] += np.bincount(kept, minlength=course.cells)
        if of == CORE:
            out["matched_core"] += matched
            out["core_value"] += np.bincount(kept, rng.choice(_VALUES, len(kept)), course.cells)
        elif of == LOW:
            out["matched_low"] += matched
            out["low_items"] += np.bincount(kept, minlength=course.cells)
    return out


def _close_in_bulk(rng: np.random.Generator, team: Team, happening: Happening, out: dict[str, Floats]) -> None:
    """Old items of all kinds, with their value and what they once cost, closed by a script in five minutes or by hand in an hour."""
    count = 20 + round((2 + 4 * happening.size) * team.people)
    at = happening.begin + rng.integers(0, int(rng.integers(1, HOUR + 1)), count)
    of = rng.choice((CORE, SUPPORTING, LOW), count, p=rng.dirichlet((3, 2, 3)))
    a_week = team.core_items + team.other_items + team.low_items
    cost = 1e6 * team.usd * team.sessions / a_week * rng.lognormal(-0.32, 0.8, count) * (rng.random(count) < 0.7)
    for name, amount in (("matched", cost), ("items", 1)):
        np.add.at(out[name], at, amount)
    for kind, name, amount in (
        (CORE, "matched_core", cost),
        (CORE, "core_value", rng.choice(_VALUES, count)),
        (LOW, "matched_low", cost),
        (LOW, "low_items", 1),
    ):
        np.add.at(out[name], at, amount * (of == kind))


def _lagging(pace: Floats, rhythm: Floats) -> Floats:
    """The pace of the last days, weighted by the work done in them: work that was begun takes days to be completed."""
    days = len(pace) // DAY
    work = np.add.reduceat(rhythm * pace, np.arange(0, days * DAY, DAY))
    usual = np.add.reduceat(rhythm, np.arange(0, days * DAY, DAY))
    out, level, weight = np.ones(days), 4.0, 4.0
    for day in range(days):
        level, weight = 0.75 * level + work[day] * 5, 0.75 * weight + usual[day] * 5
        out[day] = level / weight
    return np.repeat(out, DAY)
