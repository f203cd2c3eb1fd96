"""Alerts beside labels: which episodes were told, how late, and what was told that was none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import polars as pl

from benchmarks.detection.happenings import APART, DIGESTS, FIRST_CELL, RULES, STRENGTHS, Happening
from benchmarks.detection.scenarios import Scenario
from benchmarks.detection.teams import CELL_US, DAY, T0_US
from streams.detect.alert import Alert
from streams.detect.calendar import Calendar
from streams.detect.engine import AlertEngine
from streams.detect.observed import SIZE_US
from streams.detect.policy import AlertPolicy
from streams.windows.measures import DAY_US, HOUR_US

LATENESS_US = 600_000_000
_T0 = datetime.fromtimestamp(T0_US / 1e6, UTC).date()


def told_alerts(scenario: Scenario, progress: Callable[[str], None] = lambda _: None) -> list[Alert]:
    """What the default rules tell of a history, each alert as it was when it was first delivered. Every second team has a calendar."""
    engine = AlertEngine(AlertPolicy(), LATENESS_US, calendars(scenario))
    told: dict[tuple[str, int], Alert] = {}
    day_of = (pl.col("window_end") - T0_US - 1) // DAY_US
    days = scenario.windows.with_columns(day=day_of).partition_by("day", maintain_order=True, include_key=False)
    for number, windows in enumerate(days, 1):
        upto = windows["window_end"][-1]
        for change in engine.on_windows(windows, upto + LATENESS_US):
            if change.state == "firing" and change.deliver:
                told.setdefault((change.fingerprint, change.started_at), change)
        progress(f"judging day {number} of {len(days)}")
    return list(told.values())


def calendars(scenario: Scenario) -> list[Calendar]:
    """Of every second team: its holidays, also those of a shutdown. Of the others nobody has told them."""
    found = []
    for number, team in enumerate(scenario.teams):
        off = [h for h in scenario.happenings if h.team == number and h.kind in ("holiday", "shutdown")]
        days = {
            _T0 + timedelta(days=day)
            for h in off
            for day in range(*(team.local(cell) // DAY for cell in (h.begin, h.end)))
        }
        if number % 2 == 0:
            found.append(Calendar((team.name,), f"Etc/GMT{-team.utc_shift_h:+d}", holidays=frozenset(days)))
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """An episode with the first alert that tells it, or a false alert with what was going on, if anything."""

    happening: Happening | None
    alert: Alert | None

    @property
    def delay_h(self) -> float:
        """From the beginning of the episode to the end of the window that fired."""
        assert self.happening is not None
        assert self.alert is not None
        return (self.alert.window_end - at_us(self.happening.begin)) / HOUR_US


@dataclass(frozen=True, slots=True)
class Score:
    """`true`: every alert that begins in an episode of its team, whatever its rule; `episodes` need one of their own rules.

    `digests`: what is worth a digest, told by one of its rules; any other alert about it is false.
    """

    team_days: int
    episodes: tuple[Told, ...]
    digests: tuple[Told, ...]
    false: tuple[Told, ...]
    true: tuple[Alert, ...]


def score(scenario: Scenario, alerts: Iterable[Alert]) -> Score:
    """An alert belongs to an episode of its team if it begins within it, or within its window's length after it. Others are false."""
    names = {team.name: number for number, team in enumerate(scenario.teams)}
    found: dict[Happening, Alert] = {}
    true, false = [], []
    for alert in sorted(alerts, key=lambda alert: alert.window_end):
        around = [h for h in scenario.happenings if h.team == names[alert.team] and _covers(h, alert)]
        episodes = [happening for happening in around if happening.rules]
        digest = next((h for h in around if alert.rule in DIGESTS.get(h.kind, ())), None)
        if digest:
            found.setdefault(digest, alert)
            true.append(alert)
            continue
        if not episodes:
            false.append(Told(_context(scenario, names[alert.team], alert), alert))
            continue
        true.append(alert)
        for episode in episodes:
            if alert.rule in episode.rules:
                found.setdefault(episode, alert)
    told = tuple(Told(h, found.get(h)) for h in scenario.happenings if h.rules)
    judged_days = max(scenario.days * DAY - FIRST_CELL, 0) // DAY
    digests = tuple(Told(h, found.get(h)) for h in scenario.happenings if h.kind in DIGESTS)
    return Score(judged_days * len(scenario.teams), told, digests, tuple(false), tuple(true))


def _covers(happening: Happening, alert: Alert) -> bool:
    return at_us(happening.begin) <= alert.started_at <= at_us(happening.end) + SIZE_US[alert.size]


def _context(scenario: Scenario, team: int, alert: Alert) -> Happening | None:
    """The last thing that happened to the team in the month before: what the false alert was probably about."""
    cell = (alert.started_at - T0_US) // CELL_US
    before = [h for h in scenario.happenings if h.team == team and h.begin <= cell <= h.end + 3 * APART]
    return before[-1] if before else None


def at_us(cell: int) -> int:
    return T0_US + cell * CELL_US


def pooled(scores: Sequence[Score]) -> Score:
    """Several histories as one."""
    return Score(
        sum(one.team_days for one in scores),
        tuple(told for one in scores for told in one.episodes),
        tuple(told for one in scores for told in one.digests),
        tuple(told for one in scores for told in one.false),
        tuple(alert for one in scores for alert in one.true),
    )


def figures(result: Score) -> dict[str, Any]:
    """What the command writes. Recall is None where there was no episode; delays are in hours, None where nothing was told; false alerts by
    team-days are None where no team-day was judged."""
    kinds = [told.alert.kind for told in result.false if told.alert]

    def false(kind: str, by: int) -> float | None:
        return round(by * kinds.count(kind) / result.team_days, 3) if result.team_days else None

    rules = sorted(
        {a.rule for a in result.true}
        | {t.alert.rule for t in result.false if t.alert}
        | {r for kinds in (RULES, DIGESTS) for of in kinds.values() for r in of}
    )
    return {
        "team_days": result.team_days,
        "recall": recall(result.episodes),
        "episodes": {of: sum(t.happening is not None and t.happening.strength == of for t in result.episodes) for of in STRENGTHS},
        "false_pages_per_1000_team_days": false("page", 1000),
        "false_tickets_per_60_team_days": false("ticket", 60),
        "median_delay_h": {
            rule: delay([t for t in (*result.episodes, *result.digests) if t.alert and t.alert.rule == rule]) for rule in rules
        },
        "rules": {
            rule: {"true": true, "false": false, "precision": round(true / (true + false), 3) if true + false else None}
            for rule in rules
            for true in [sum(alert.rule == rule for alert in result.true)]
            for false in [sum(told.alert is not None and told.alert.rule == rule for told in result.false)]
        },
        "patterns": {
            kind: {
                "recall": recall(of),
                "episodes": len(of),
                "median_delay_h": delay(of),
                "median_delay_h_but_weak": delay([t for t in of if t.happening and t.happening.strength != "weak"]),
            }
            for kind in RULES
            if (of := [t for t in result.episodes if t.happening and t.happening.kind == kind]) is not None
        },
        "digests": {
            kind: {"episodes": len(of), "told": sum(t.alert is not None for t in of), "recall": _part(of), "median_delay_h": delay(of)}
            for kind in DIGESTS
            if (of := [t for t in result.digests if t.happening and t.happening.kind == kind]) is not None
        },
        "false_digests_per_60_team_days": false("digest", 60),
        "false_after": _counts(told.happening.kind if told.happening else "ordinary weeks" for told in result.false),
    }  # fmt: skip


def recall(episodes: Sequence[Told]) -> dict[str, float | None]:
    """Part of the episodes that was told, by strength."""
    return {of: _part([t for t in episodes if t.happening and t.happening.strength == of]) for of in STRENGTHS}


def _part(episodes: Sequence[Told]) -> float | None:
    return round(sum(told.alert is not None for told in episodes) / len(episodes), 3) if episodes else None


def delay(episodes: Sequence[Told]) -> float | None:
    """Median, in hours, of what was told."""
    delays = [told.delay_h for told in episodes if told.alert]
    return round(median(delays), 2) if delays else None


def _counts(names: Iterable[str]) -> dict[str, int]:
    out: dict[str, int] = {}
    for name in names:
        out[name] = out.get(name, 0) + 1
    return dict(sorted(out.items(), key=lambda entry: -entry[1]))
