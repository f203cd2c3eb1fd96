"""What the demo injects, with its labels: episodes of tokenmaxxing that must be told, and tempting events that must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from streams.local.traffic.rhythm import Pace
from streams.local.traffic.teams import Team
from streams.windows.measures import DAY_US, HOUR_US

MINUTE_US: Final = 60_000_000
HISTORY_DAYS: Final = 18
"""Rules need 14 days of a group's own history; an episode before that could be found by nobody."""

Kind = Literal[
    "low_value_burn",
    "agent_loop",
    "link_lost",
    "context_bloat",
    "busywork",
    "release_week",
    "holiday",
    "incident_night",
    "bulk_close",
]


@dataclass(frozen=True, slots=True)
class Episode:
    """`rules`: each of them may tell it and at least one must; none: it is ordinary business and must stay quiet."""

    kind: Kind
    team: str
    rules: tuple[str, ...]
    begin_us: int
    end_us: int
    what: str


def plan_episodes(teams: Sequence[Team], begin_us: int, end_us: int) -> tuple[Episode, ...]:
    """Episodes of the last ten days, for the teams that are there; none when the traffic is too short to know what is ordinary."""
    if end_us - begin_us < (HISTORY_DAYS + 3) * DAY_US:
        return ()

    def at(days_before_end: int, hour: int = 0, minute: int = 0) -> int:
        return end_us - days_before_end * DAY_US + hour * HOUR_US + minute * MINUTE_US

    told = (
        Episode(
            "low_value_burn",
            "search",
            ("spend_up_core_flat", "low_value_share"),
            at(7, 9),
            end_us,
            "hundreds of agent sessions on renames, formatting and newsletters",
        ),
        Episode(
            "agent_loop",
            "ads-ui",
            ("spend_runaway", "unattributed_surge", "spend_up_core_flat"),
            at(6, 14, 5),
            at(6, 15, 20),
            "a swarm of agents repeats the same prompts without a work item",
        ),
        Episode(
            "context_bloat",
            "data-platform",
            ("spend_up_core_flat",),
            at(7, 7),
            end_us,
            "every request carries a whole repository; the work stays the same",
        ),
        Episode(
            "busywork",
            "mobile",
            ("low_value_share",),
            at(10, 8),
            at(3),
            "half of the build work moves to slides, status reports and typos",
        ),
        Episode(
            "link_lost",
            "growth",
            ("unattributed_surge",),
            at(5, 9),
            at(2, 20),
            "the hook that names the work item is switched off",
        ),
    )
    quiet = (
        Episode("release_week", "identity", (), at(9), at(2), "a third more spend, a third more core work"),
        Episode("holiday", "payments", (), at(18), at(17), "a public holiday where the team lives"),
        Episode("incident_night", "sre", (), at(12, 1), at(12, 7), "an outage: six hours of operate sessions"),
        Episode("bulk_close", "catalog", (), at(4, 10), at(4, 11), "forty stale tickets closed at once"),
    )
    there = {team.name for team in teams}
    return tuple(sorted((e for e in (*told, *quiet) if e.team in there), key=lambda e: e.begin_us))


def paces(team: Team, episodes: Sequence[Episode]) -> list[Pace]:
    """How holidays and release weeks change the team's rhythm: usage and completions alike."""
    factors = {"release_week": 1.34, "holiday": 0.15}
    return [Pace(e.begin_us, e.end_us, factors[e.kind]) for e in episodes if e.kind in factors and e.team == team.name]
