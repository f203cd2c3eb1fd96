"""Made months of a team through the alert engine, and what was told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import polars as pl

from streams.detect.alert import Alert
from streams.detect.engine import AlertEngine
from streams.detect.policy import AlertPolicy
from tests.detect.made import LATENESS_US, Company, Hour, office

MINUTE_US = 60_000_000
BUSY = Hour(spend=22, unattributed=0.5, core_cost=8, low_cost=1, core_value=0.5, items=1)


def judged(windows: pl.DataFrame, until_us: int) -> list[Alert]:
    return AlertEngine(AlertPolicy()).on_windows(windows, until_us + LATENESS_US)


def fired(changes: Sequence[Alert]) -> list[Alert]:
    return [change for change in changes if change.fired_at == change.window_end]


def normal(hour: int) -> Hour | None:
    """$10 and 0.5 core items' worth in each of 40 hours a week."""
    return Hour(spend=10, unattributed=0.5, core_cost=8, low_cost=1, core_value=0.5, items=1) if office(hour) else None


def run(tell: Callable[[int], Hour | None], days: int = 30) -> list[Alert]:
    company = Company(["web"], days * 24, lambda _, hour: tell(hour))
    return judged(company.windows(), company.end_us)


def during(begin: int, end: int, then: Hour, hours: Callable[[int], bool] = office) -> Callable[[int], Hour | None]:
    return lambda hour: (then if hours(hour) else None) if begin <= hour < end else normal(hour)


def busy(hour: int) -> Hour | None:
    """Between 300 and 360 requests in each of 40 hours a week."""
    return replace(normal(hour) or Hour(), requests=300 + hour * 7919 % 61) if office(hour) else None
