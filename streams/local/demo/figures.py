"""The demo's figures: plain data for the screen and for --json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streams.local.traffic import Episode

FATES: Final = (
    "core",
    "supporting",
    "enabling",
    "in_flight",
    "low_value",
    "canceled",
    "unattributed",
    "stalled",
    "after_close",
    "excluded",
    "unknown_item",
)
Pair = tuple[float | None, float | None]
"""The week before the last, and the last."""


@dataclass(frozen=True, slots=True)
class TeamStory:
    """A team's last week against the one before. Shares are of its spend in the last week, by fate as known now."""

    team: str
    spend_usd: float
    spend_before_usd: float | None
    core_value: float
    core_value_before: float | None
    core_per_mtok: float | None
    core_per_mtok_before: float | None
    reopened: int
    shares: Mapping[str, float]
    reading: str = ""

    @property
    def on_call(self) -> bool:
        """Most of its spend enables others: its own items say little about it."""
        return self.shares.get("enabling", 0.0) >= 0.5


@dataclass(frozen=True, slots=True)
class FiredAlert:
    """An alert that fired. Times in micro-seconds of event time; `told_us`: when the window that fired it was final."""

    rule: str
    team: str
    kind: str
    started_us: int
    told_us: int


@dataclass(frozen=True, slots=True)
class Told:
    """A labelled episode and the alerts that told it."""

    episode: Episode
    alerts: tuple[FiredAlert, ...]

    @property
    def found(self) -> bool:
        return bool(self.alerts)

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(alert.rule for alert in self.alerts))

    @property
    def kind(self) -> str:
        return "page" if any(alert.kind == "page" for alert in self.alerts) else "ticket"

    @property
    def after_us(self) -> int:
        """Event time from its beginning to the first alert."""
        return min(alert.told_us for alert in self.alerts) - self.episode.begin_us


@dataclass(frozen=True, slots=True)
class Records:
    """What became of the records that were published."""

    produced: int
    applied: int
    duplicate: int
    dead: int

    @property
    def add_up(self) -> bool:
        return self.applied + self.duplicate + self.dead == self.produced


@dataclass(frozen=True, slots=True)
class Verified:
    """Result of `verify`."""

    rows: int
    different: int


@dataclass(frozen=True, slots=True)
class Speed:
    """From the first record published until windows in ClickHouse covered the last one, and the worker's CPU time in between."""

    seconds: float
    cpu_seconds: float
    events_per_s: float
    events_per_cpu_s: float
    cores: int


@dataclass(frozen=True, slots=True)
class Story:
    """Everything on the screen."""

    seed: int
    days: int
    begin_us: int
    people: int
    teams: tuple[TeamStory, ...]
    spend_usd: Pair
    core_value: Pair
    core_per_mtok: Pair
    daily_spend_usd: tuple[float | None, ...]
    daily_core_value: tuple[float | None, ...]
    daily_core_per_mtok: tuple[float | None, ...]
    drivers: tuple[tuple[str, float], ...]
    fates: Mapping[str, int]
    told: tuple[Told, ...]
    false_alerts: tuple[FiredAlert, ...]
    quiet: tuple[str, ...]
    known_requests: float
    rules_fit: float
    records: Records
    verified: Verified
    speed: Speed
    example: str

    @property
    def trustworthy(self) -> bool:
        """No record lost, no stored row wrong."""
        return self.records.add_up and not self.verified.different

    @property
    def team_days(self) -> int:
        return self.days * len(self.teams)
