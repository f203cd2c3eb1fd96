"""What rules would have told of a history, beside labels of what happened, and beside other rules."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final

import polars as pl

from streams.detect.alert import Alert, alert_rows
from streams.detect.calendar import Calendar
from streams.detect.engine import AlertEngine
from streams.detect.history import KEPT_US
from streams.detect.observed import SIZE_US, Group
from streams.detect.policy import AlertPolicy
from streams.errors import ConfigError
from streams.value.documents import EPOCH
from streams.windows.measures import HOUR_US

WARM_UP_US: Final = KEPT_US
"""Judged before the begin, so that what burns then is known and stays out of what is usual."""
_COLUMNS: Final = ("team", "from", "to", "what")


@dataclass(frozen=True, slots=True)
class Label:
    """Something that happened to a team, from one instant up to another, that somebody should have been told of."""

    tenant: str
    """Empty: of any tenant."""
    team: str
    begin_us: int
    end_us: int
    what: str

    def told_by(self, alert: Alert) -> bool:
        """Whether an alert of the team began within it, or within its window's length after it."""
        of_team = alert.team == self.team and self.tenant in ("", alert.tenant)
        return of_team and self.begin_us <= alert.started_at <= self.end_us + SIZE_US[alert.size]


def labels_from_csv(lines: Iterable[str], file: str) -> list[Label]:
    """Labels of a CSV file with a header: team, from, to, what, and perhaps tenant. Raises ConfigError that names the line."""
    reader = csv.DictReader(lines, strict=True)
    try:
        names = reader.fieldnames or []
        if missing := [name for name in _COLUMNS if name not in names]:
            raise ConfigError(f"{file}:1", f"no column {', '.join(missing)}", remedy="begin with team,from,to,what")
        return [_label(row, f"{file}:{reader.line_num}") for row in reader]
    except csv.Error as error:
        raise ConfigError(
            f"{file}:{reader.line_num + 1}", f"not valid CSV: {error}", remedy="correct that line"
        ) from None


def _label(row: dict[str, Any], where: str) -> Label:
    if None in row or None in row.values():
        raise ConfigError(where, "more or fewer cells than the header", remedy="put a text with commas in quotes")
    begin_us, end_us = _instant(row["from"], "from", where), _instant(row["to"], "to", where)
    if end_us <= begin_us:
        raise ConfigError(where, "to is not after from", remedy="write the first instant after it as to")
    return Label(row.get("tenant", ""), row["team"], begin_us, end_us, row["what"])


def _instant(text: str, name: str, where: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        remedy = "write 2026-01-31, or 2026-01-31T14:05:00Z"
        raise ConfigError(where, f"{name} is not a day or an instant", remedy=remedy) from None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)


@dataclass
class Trial:
    """One policy on one tenant after the other, each from WARM_UP_US before the begin to the end, in time order."""

    policy: AlertPolicy
    begin_us: int
    calendars: Sequence[Calendar] = ()
    fired: list[Alert] = field(default_factory=list)
    """What fired after the begin, each as it was when it fired but for its end."""
    teams: set[Group] = field(default_factory=set)
    """Teams with windows after the begin."""
    judged: set[Group] = field(default_factory=set)
    """Those of them that had a usual to be judged by on some day; the others were only observed."""

    def begin(self) -> None:
        """Begin with another tenant."""
        self._engine = AlertEngine(self.policy, 0, self.calendars)
        self._engine.load(alert_rows([]), self.begin_us - WARM_UP_US)
        self._firing: dict[tuple[str, int], int] = {}

    def history(self, windows: pl.DataFrame) -> None:
        """Windows before the warm-up, in any order."""
        self._engine.load_history(windows)

    def judge(self, windows: pl.DataFrame, until_us: int) -> None:
        """All final windows with ends after the last call's `until_us`, up to this one."""
        for change in self._engine.on_windows(windows, until_us):
            key = change.fingerprint, change.started_at
            if change.state == "firing" and change.fired_at == change.window_end > self.begin_us:
                self._firing[key] = len(self.fired)
                self.fired.append(change)
            elif change.state == "resolved" and key in self._firing:
                number = self._firing.pop(key)
                self.fired[number] = replace(
                    self.fired[number], clear_since=change.clear_since, resolved_at=change.resolved_at
                )
        if until_us > self.begin_us:
            keys = windows.filter(pl.col("grouping") == "team").select("tenant", "team").unique()
            self.teams.update(keys.iter_rows())
            self.judged.update(group for group in self.teams - self.judged if self._engine.knows_usual(group))


@dataclass(frozen=True, slots=True)
class Score:
    """Alerts held against labels. `delays_h`: from the begin of each label that was told to the first alert's firing."""

    alerts: int
    true: int
    labels: int
    told: int
    delays_h: tuple[float, ...]
    missed: tuple[Label, ...]

    def figures(self) -> dict[str, Any]:
        """Precision and recall; None where there is nothing to divide by."""
        return {
            "alerts": self.alerts,
            "true": self.true,
            "precision": round(self.true / self.alerts, 3) if self.alerts else None,
            "labels": self.labels,
            "told": self.told,
            "recall": round(self.told / self.labels, 3) if self.labels else None,
            "median_delay_h": round(median(self.delays_h), 2) if self.delays_h else None,
        }


def score(fired: Sequence[Alert], labels: Iterable[Label], begin_us: int, end_us: int) -> Score:
    """An alert is true if it tells a label of its team, whatever its rule; a label that does not begin in the stretch is only an excuse."""
    labels = list(labels)
    asked = [label for label in labels if begin_us <= label.begin_us < end_us]
    first = {
        label: min(alert.fired_at for alert in fired if label.told_by(alert))
        for label in asked
        if any(map(label.told_by, fired))
    }
    return Score(
        alerts=len(fired),
        true=sum(any(label.told_by(alert) for label in labels) for alert in fired),
        labels=len(asked),
        told=len(first),
        delays_h=tuple((fired_at - label.begin_us) / HOUR_US for label, fired_at in first.items()),
        missed=tuple(label for label in asked if label not in first),
    )


def only_in(fired: Sequence[Alert], others: Sequence[Alert]) -> list[Alert]:
    """Alerts without a counterpart among the others: one of the same rule and team that burned at the same time."""
    burned: dict[str, list[Alert]] = {}
    for other in others:
        burned.setdefault(other.fingerprint, []).append(other)
    return [
        alert
        for alert in fired
        if not any(
            alert.started_at <= _end(other) and other.started_at <= _end(alert)
            for other in burned.get(alert.fingerprint, ())
        )
    ]


def _end(alert: Alert) -> float:
    return alert.resolved_at or float("inf")


def weekly(fired: Iterable[Alert]) -> Counter[tuple[str, str, str, str]]:
    """How many fired by (Monday of the week, rule, kind, team)."""
    return Counter((monday(alert.fired_at), alert.rule, alert.kind, alert.team) for alert in fired)


def monday(t_us: int) -> str:
    """Day on which the week of an instant began, UTC."""
    day = (EPOCH + timedelta(microseconds=t_us)).date()
    return (day - timedelta(days=day.weekday())).isoformat()
