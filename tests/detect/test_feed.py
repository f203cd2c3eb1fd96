"""A dead feed is told by the same windows after a restart, in any cut of them, and after what came late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import polars as pl
import pytest

from streams.detect.alert import Alert, alert_rows
from streams.detect.engine import AlertEngine
from streams.detect.history import KEPT_US, STEP_US
from streams.detect.observed import Group
from streams.detect.policy import AlertPolicy
from streams.detect.rule import AlertRule
from streams.detect.silence import PANE_US, RECENT
from streams.windows.measures import HOUR_US
from tests.detect.made import LATENESS_US, T0, Company, Hour, day
from tests.detect.stories import busy, judged

DEAD_US = T0 + day(28, 11) * HOUR_US
LAST_US = DEAD_US + 5 * HOUR_US


def tell(team: str, hour: int) -> Hour | None:
    return None if team == "web" and day(28, 11) <= hour < day(28, 13) else busy(hour)


@cache
def windows() -> pl.DataFrame:
    return Company(["web", "ops"], day(28, 17), tell, panes=12).windows()


def between(after_us: int, upto_us: int) -> pl.DataFrame:
    return windows().filter(pl.col("window_end").is_between(after_us, upto_us, closed="right"))


def stored(upto_us: int) -> pl.DataFrame:
    """What the alert agent reads when it starts (queries/alerts/history.sql)."""
    steps = pl.col("size").replace_strict(STEP_US)
    recent = (
        (pl.col("size") == "1h") & (pl.col("grouping") == "team") & (pl.col("window_end") > upto_us - RECENT * PANE_US)
    )
    return between(upto_us - KEPT_US, upto_us).filter((pl.col("window_end") % steps == 0) | recent)


def resumed(alerts: Sequence[Alert], upto_us: int) -> AlertEngine:
    latest = {(alert.fingerprint, alert.started_at): alert for alert in alerts}
    engine = AlertEngine(AlertPolicy(), LATENESS_US)
    engine.load(alert_rows(latest.values()), upto_us + LATENESS_US)
    engine.load_history(stored(upto_us))
    return engine


@cache
def whole_story() -> list[Alert]:
    return judged(windows(), LAST_US)


def test_the_story_is_told_and_over() -> None:
    assert [(a.rule, a.state, (a.window_end - DEAD_US) // PANE_US) for a in whole_story()] == [
        ("feed_silent", "firing", 6),
        ("feed_silent", "firing", 25),
        ("feed_silent", "resolved", 27),
    ]


@pytest.mark.parametrize("pane", [-1, *range(0, 28, 3), 5, 6, 7, 25, 26])
def test_a_restart_tells_the_same_story(pane: int) -> None:
    cut_us = DEAD_US + pane * PANE_US
    story = [alert for alert in whole_story() if alert.window_end <= cut_us]
    assert story + resumed(story, cut_us).on_windows(between(cut_us, LAST_US), LAST_US + LATENESS_US) == whole_story()


def test_windows_one_by_one_tell_the_same_story() -> None:
    engine, story = resumed([], DEAD_US - HOUR_US), list[Alert]()
    for end_us in range(DEAD_US - HOUR_US, LAST_US, PANE_US):
        story += engine.on_windows(between(end_us, end_us + PANE_US), end_us + PANE_US + LATENESS_US)
    assert story == whole_story()


def test_what_came_late_is_no_silence_any_more() -> None:
    """Requests of the middle of the silence are in revised windows: it counts from them on."""
    late_us = cut_us = DEAD_US + 5 * PANE_US
    changed = between(DEAD_US, LAST_US).with_columns(
        requests=pl.col("requests")
        + pl.when((pl.col("team") == "web") & (pl.col("size") == "1h") & (pl.col("grouping") == "team") & (pl.col("window_end") >= late_us)
                  & (pl.col("window_end") < late_us + HOUR_US)).then(30).otherwise(0)
    )  # fmt: skip
    engine = resumed([], cut_us)
    engine.load_history(changed.filter(pl.col("window_end") <= cut_us))
    story = engine.on_windows(changed.filter(pl.col("window_end") > cut_us), LAST_US + LATENESS_US)
    assert (story[0].rule, story[0].state, (story[0].window_end - DEAD_US) // PANE_US) == ("feed_silent", "firing", 12)


@pytest.mark.parametrize(("stops", "told_after_us"), [(10, 5 * HOUR_US), (13, None)])
def test_after_three_hours_a_silence_must_miss_three_times_as_much(stops: int, told_after_us: int | None) -> None:
    """84 requests an hour, 140 that a young silence must miss: a feed that dies in the morning misses 420 by the afternoon, an afternoon off 336."""

    def quiet(team: str, hour: int) -> Hour | None:
        said = busy(hour)
        dead = team == "web" and day(28, stops) <= hour < day(29)
        return replace(said, requests=84) if said and not dead else None

    begins = T0 + day(28, stops) * HOUR_US
    found = judged(Company(["web", "ops"], day(29), quiet, panes=12).windows(), T0 + day(29) * HOUR_US)
    fired = [alert.window_end - begins for alert in found if alert.state == "firing"]
    assert fired == ([] if told_after_us is None else [told_after_us])


class _LooksAtAll(AlertEngine):
    """Looks at every team that ever had requests."""

    def _absent(self, rules: Sequence[AlertRule], end_us: int) -> Iterator[Group]:
        return (group for group, _ in self._history.recent.latest())


@pytest.mark.parametrize("longest", ["1h", "6h", "3d"])
def test_teams_that_are_left_out_would_begin_nothing(longest: str) -> None:
    """Teams that die for good, come back, or work every other day; `longest` also beyond what can be told of a silence."""

    def fickle(team: str, hour: int) -> Hour | None:
        gone = {"web": day(28, 11), "ops": day(29, 13), "api": day(25)}[team]
        back = gone + {"web": 200, "ops": 3, "api": 0}[team]
        return None if gone <= hour < back or (team == "api" and hour // 24 % 2) else busy(hour)

    found = Company(["web", "ops", "api"], day(31), fickle, panes=12).windows()
    policy = AlertPolicy.from_toml(f'[feed_silent]\nlongest = "{longest}"\n', "rules.toml")
    told, expected = (
        engine(policy, LATENESS_US).on_windows(found, T0 + day(31) * HOUR_US + LATENESS_US)
        for engine in (AlertEngine, _LooksAtAll)
    )
    assert told == expected
    assert {"feed_silent"} == {alert.rule for alert in told}
