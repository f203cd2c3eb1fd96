"""`python -m benchmarks.detection.libraries.drifts`: detectors of drift, river's and ours, in the job that the drift rule has for one.

All see the same: of each team of made histories, day by day, the logarithms of its requests and of its tokens a request over the usual, in
standard deviations (streams.detect.looks), at most 4 either way. A drift upwards in either of the two is an alarm; alarms with three days or
less between them are one. An alarm that begins in an episode of any pattern of its team, or in the seven days after it, is not false; "told"
are episodes of spend_up. Nothing of the rule around it counts here: neither money nor core work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log
from statistics import median
from typing import Annotated, Any, Final, NamedTuple

import typer
from rich.console import Console
from rich.table import Table
from river import drift

from benchmarks.detection.detectors.combined import Combined
from benchmarks.detection.detectors.level import Level
from benchmarks.detection.happenings import FIRST_CELL, STRENGTHS, Happening
from benchmarks.detection.rolling import TENANT
from benchmarks.detection.scenarios import make_scenario
from benchmarks.detection.scoring import at_us
from streams.detect.detectors.baseline import Standard
from streams.detect.detectors.detector import Detector
from streams.detect.detectors.drift import Drift
from streams.detect.history import Before, History, usual
from streams.detect.looks import days_of_requests, days_of_tokens, own_requests, tokens_a_request
from streams.detect.observed import final_rows
from streams.windows.measures import DAY_US

_MOST: Final = 4.0
_LIMITS: Final = ((1.0, 2.0), (1.0, 3.0), (1.5, 1.5), (1.5, 2.0), (1.75, 1.25), (1.75, 1.5), (2.0, 1.0), (2.0, 2.0))
_TOGETHER_US: Final = 3 * DAY_US
_AFTER_US: Final = 7 * DAY_US

Tells = Callable[[int, float], bool]
"""Whether a day, in standard deviations, completes a drift upwards."""


class Course(NamedTuple):
    """A team's days of requests and of tokens a request, and what happened to it."""

    series: tuple[list[tuple[int, float]], list[tuple[int, float]]]
    happenings: list[Happening]


def ours(make: Callable[[], Detector], least: float) -> Callable[[], Tells]:
    def begin() -> Tells:
        detector = make()

        def tells(at: int, value: float) -> bool:
            judged = detector.observe(at, value)
            return judged.score >= least and judged.observed > 0

        return tells

    return begin


def rivers(make: Callable[[], Any]) -> Callable[[], Tells]:
    def begin() -> Tells:
        detector = make()

        def tells(at: int, value: float) -> bool:
            before = getattr(detector, "estimation", -_MOST)
            detector.update(value)
            return bool(detector.drift_detected and getattr(detector, "estimation", _MOST) > before)

        return tells

    return begin


def _adwin(delta: float) -> Any:
    return drift.ADWIN(delta=delta, clock=1, min_window_length=1, grace_period=1)


def _page_hinkley(delta: float, threshold: float) -> Any:
    return drift.PageHinkley(min_instances=5, delta=delta, threshold=threshold, alpha=1.0, mode="up")


CONTENDERS: Final[dict[str, Callable[[], Tells]]] = {
    **{
        f"Drift, slack {slack}, limit {limit}": ours(lambda slack=slack, limit=limit: Drift(Standard(), slack, limit), 0.5)
        for slack, limit in _LIMITS
    },
    **{f"Level, score {least}": ours(Level, least) for least in (0.8, 0.9)},
    **{f"Combined, score {least}": ours(Combined, least) for least in (0.8, 0.9)},
    **{
        f"river PageHinkley, delta {delta}, threshold {threshold}": rivers(
            lambda delta=delta, threshold=threshold: _page_hinkley(delta, threshold)
        )
        for delta, threshold in _LIMITS
    },
    **{f"river ADWIN, delta {delta}": rivers(lambda delta=delta: _adwin(delta)) for delta in (0.05, 0.5, 0.9)},
}  # fmt: skip


def courses(seed: int, teams: int, days: int) -> Iterator[Course]:
    """Each team of a made history, as looks at the end of each UTC day see it."""
    scenario = make_scenario(seed=seed, teams=teams, days=days)
    history = History()
    for row in final_rows(scenario.windows):
        if row.size != "1h":
            history.put(row)
    for number, team in enumerate(scenario.teams):
        series: tuple[list[tuple[int, float]], list[tuple[int, float]]] = ([], [])
        for day in range(15, days + 1):
            before = Before(history, "7d", (TENANT, team.name), at_us(0) + day * DAY_US)
            week, each = usual(before.windows, own_requests, ()), usual(before.windows, tokens_a_request, ())
            if week and each and week[0] and each[0]:
                of_day = days_of_requests(before, week[0], ()), days_of_tokens(before, week[0], each[0], ())
                for kept, found in zip(series, of_day, strict=True):
                    kept += [
                        (one.end_us, min(_MOST, max(-_MOST, log(one.now / one.usual) / one.deviation)))
                        for one in found
                        if one.end_us == before.end_us
                    ]
        yield Course(series, [happening for happening in scenario.happenings if happening.team == number])


def alarms(course: Course, begin: Callable[[], Tells]) -> list[int]:
    """Ends of the days with which alarms begin."""
    told = sorted({at for series in course.series for tells in [begin()] for at, value in series if tells(at, value)})
    return [at for before, at in zip([-_TOGETHER_US, *told], told, strict=False) if at - before > _TOGETHER_US]


def main(
    seed: Annotated[int, typer.Option(help="of the first made history")] = 11,
    seeds: Annotated[int, typer.Option(min=1)] = 6,
    teams: Annotated[int, typer.Option(min=1)] = 40,
    days: Annotated[int, typer.Option(min=1)] = 90,
) -> None:
    """False alarms and what was told, detector by detector."""
    found = [course for number in range(seed, seed + seeds) for course in courses(number, teams, days)]
    table = Table("detector", "false", *STRENGTHS, "median delay h, but weak", "within 36 h")
    for name, begin in CONTENDERS.items():
        false, delays = 0, {strength: list[float]() for strength in STRENGTHS}
        for course in found:
            at = alarms(course, begin)
            spans = [(at_us(h.begin), at_us(h.end) + _AFTER_US) for h in course.happenings if h.rules]
            false += sum(one >= at_us(FIRST_CELL) and not any(a <= one <= b for a, b in spans) for one in at)
            for h in course.happenings:
                inside = [one for one in at if at_us(h.begin) <= one <= at_us(h.end) + _AFTER_US]
                if h.kind == "spend_up" and h.strength and inside:
                    delays[h.strength].append((inside[0] - at_us(h.begin)) / 3_600_000_000)
        clear = delays["strong"] + delays["moderate"]
        table.add_row(
            name,
            str(false),
            *(str(len(of)) for of in delays.values()),
            f"{median(clear):.1f}" if clear else ".",
            str(sum(delay <= 36 for of in delays.values() for delay in of)),
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
