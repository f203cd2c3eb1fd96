"""Traffic of the demo: a made company, its AI usage and its work items, with labelled episodes. Pure and decided by the seed.

teams      who they are and what an ordinary week looks like
rhythm     when they work
episodes   what is injected, with labels
company    all of that for one run
items      what they work on            lifecycle   the work-item events of that
models     tools, models                sessions    who works when on what         usage   the usage events of that
bad        records that no worker can use
records    everything as Kafka records, in the order in which it is published
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from streams.local.traffic.company import TENANT, found_company
from streams.local.traffic.episodes import Episode
from streams.local.traffic.items import stalled_items, team_items
from streams.local.traffic.lifecycle import item_events
from streams.local.traffic.sessions import Plan
from streams.local.traffic.teams import Team
from streams.local.traffic.usage import usage_events

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

__all__ = ["TENANT", "Episode", "Traffic", "last_monday_us", "make_traffic"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What happened between two UTC midnights. `usage` and `items` hold each event once, columns as in the schemas, null where absent."""

    seed: int
    begin_us: int
    end_us: int
    teams: tuple[Team, ...]
    episodes: tuple[Episode, ...]
    usage: pl.DataFrame
    items: pl.DataFrame

    @property
    def people(self) -> int:
        return sum(team.people for team in self.teams)

    @property
    def labelled(self) -> tuple[Episode, ...]:
        """The episodes that an alert must tell."""
        return tuple(episode for episode in self.episodes if episode.rules)


def last_monday_us(now: datetime) -> int:
    """The last Monday's UTC midnight: the demo's weeks are whole, and its figures the same on any day."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - timedelta(days=midnight.weekday()) - EPOCH) // timedelta(microseconds=1)


def make_traffic(*, seed: int, days: int, teams: int, events: int, end_us: int) -> Traffic:
    """`events` usage events of `teams` teams over `days` days up to `end_us`, a UTC midnight, and their work items.

    What a team spends depends on the plan of teams.py, not on `events`: with few events each reports several requests.
    """
    company = found_company(seed=seed, days=days, teams=teams, end_us=end_us)
    items = [team_items(company, number) for number in range(teams)]
    for item in stalled_items(company):
        items[item.team].append(item)
    plan = Plan(company, items, most=max(events // 6, 1))
    usage = usage_events(company, plan.sessions, plan.budgets, events)
    outcomes = item_events(company, [item for of_team in items for item in of_team])
    return Traffic(seed, company.begin_us, end_us, company.teams, company.episodes, usage, outcomes)
