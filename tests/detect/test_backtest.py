"""The rules on six noisy weeks of eight teams with labelled episodes: every episode is found in time, and nothing else fires."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import pytest

from streams.detect.alert import Alert
from streams.detect.engine import AlertEngine
from streams.detect.observed import SIZE_US
from streams.detect.policy import AlertPolicy
from streams.windows.measures import HOUR_US
from tests.detect.made import LATENESS_US, T0, Company, Hour, day, office


class Episode(NamedTuple):
    """Hours since T0; `rules`: any of them may tell it, one of them must."""

    team: str
    begin: int
    end: int
    rules: tuple[str, ...]


WEEKS = 6
USD_PER_WEEK = {
    "search": 680,
    "ads": 520,
    "pay": 750,
    "mobile": 430,
    "growth": 400,
    "identity": 600,
    "sre": 500,
    "store": 320,
}
EPISODES = (
    Episode("search", day(28, 9), day(35), ("spend_up_core_flat", "low_value_share", "spend_runaway")),
    Episode("ads", day(31, 2), day(31, 4), ("spend_runaway", "unattributed_surge", "spend_up_core_flat")),
    Episode("mobile", day(30), day(37), ("low_value_share",)),
    Episode("growth", day(36), day(39), ("unattributed_surge",)),
)
QUIET = (
    Episode("identity", day(28), day(35), ()),  # a release week: more of everything
    Episode("sre", day(30, 1), day(30, 7), ()),  # a night of operations
    Episode("store", day(24), day(25), ()),  # a holiday
)


def hours(rng: Random, team: str) -> Iterator[Hour | None]:
    episode = next(episode for episode in (*EPISODES, *QUIET, Episode(team, 0, 0, ())) if episode.team == team)
    for number in range(WEEKS * 7 * 24):
        inside = episode.begin <= number < episode.end
        if not office(number) and not (inside and team in ("ads", "sre")):
            yield None
            continue
        spend = USD_PER_WEEK[team] / 40 * rng.lognormvariate(0, 0.5)
        ended = USD_PER_WEEK[team] / 40 * rng.lognormvariate(0, 0.7)
        low = ended * min(rng.lognormvariate(-2.3, 0.5), 0.6)
        hour = Hour(
            spend,
            spend * 0.05,
            spend * 0.1,
            ended - low,
            low,
            0.3,
            rng.choice([0, 0.5, 1, 1]),
            rng.choice([0, 1, 1, 2]),
        )
        if inside and team == "search":
            hour.spend, hour.low_cost = 2.3 * spend, low + 1.2 * spend
        elif inside and team == "ads":
            hour = Hour(rng.uniform(180, 220), repeated=1500)
            hour.unattributed = hour.spend
        elif inside and team == "mobile":
            hour.core_cost, hour.low_cost = ended * 0.45, ended * 0.55
        elif inside and team == "growth":
            hour.unattributed = spend * 0.8
        elif inside and team == "identity":
            hour.spend, hour.core_cost, hour.core_value = 1.6 * spend, 1.6 * ended, 1.6 * hour.core_value
        elif inside and team == "sre":
            hour = Hour(40, enabling=40)
        elif inside and team == "store":
            hour.spend *= 0.1
        yield hour


def tells(alert: Alert, episode: Episode) -> bool:
    begin, end = T0 + episode.begin * HOUR_US, T0 + episode.end * HOUR_US
    return (
        alert.team == episode.team
        and alert.rule in episode.rules
        and begin <= alert.fired_at <= end + SIZE_US[alert.size]
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_labelled_episode_is_told_and_nothing_else(seed: int) -> None:
    rng = Random(seed)
    told = {team: list(hours(rng, team)) for team in USD_PER_WEEK}
    company = Company(USD_PER_WEEK, WEEKS * 7 * 24, lambda team, hour: told[team][hour])
    changes = AlertEngine(AlertPolicy()).on_windows(company.windows(), company.end_us + LATENESS_US)
    fired = [alert for alert in changes if alert.fired_at == alert.window_end]
    assert [episode for episode in EPISODES if not any(tells(alert, episode) for alert in fired)] == []
    assert [alert.summary for alert in fired if not any(tells(alert, episode) for episode in EPISODES)] == []
    page = next(alert for alert in fired if alert.rule == "spend_runaway")
    assert page.fired_at - (T0 + day(31, 2) * HOUR_US) <= 15 * 60_000_000
