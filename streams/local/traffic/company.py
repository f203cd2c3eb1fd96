"""The made company of one run: who works there, when, what happens to it, and the dice that decide the rest."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np

from streams.local.traffic.episodes import Episode, paces, plan_episodes
from streams.local.traffic.rhythm import Rhythm
from streams.local.traffic.teams import Team, team_list
from streams.windows.measures import DAY_US

TENANT: Final = "demo"
WARM_UP_DAYS: Final = 14
"""Items of the fortnight before day 0 are in progress then: without them the first week would finish nothing."""


@dataclass(frozen=True, slots=True)
class Company:
    """Teams by number, with their rhythms and their people's pseudonyms. `rng` is drawn from in a fixed order."""

    rng: np.random.Generator
    begin_us: int
    end_us: int
    teams: tuple[Team, ...]
    rhythms: tuple[Rhythm, ...]
    actors: tuple[tuple[str, ...], ...]
    episodes: tuple[Episode, ...]

    def happening(self, number: int, *kinds: str) -> list[Episode]:
        """The team's episodes of these kinds."""
        return [e for e in self.episodes if e.team == self.teams[number].name and e.kind in kinds]


def found_company(*, seed: int, days: int, teams: int, end_us: int) -> Company:
    """A company whose traffic of `days` days ends at `end_us`, a UTC midnight."""
    begin_us = end_us - days * DAY_US
    staff = team_list(teams)
    episodes = plan_episodes(staff, begin_us, end_us)
    reach = WARM_UP_DAYS * DAY_US
    rhythms = tuple(
        Rhythm(begin_us - reach, end_us + reach, team.utc_shift_h, on_call=team.on_call, paces=paces(team, episodes))
        for team in staff
    )
    actors = tuple(tuple(_pseudonym(seed, team.name, k) for k in range(team.people)) for team in staff)
    rng = np.random.default_rng([seed, days, teams])
    return Company(rng, begin_us, end_us, staff, rhythms, actors, episodes)


def _pseudonym(seed: int, team: str, number: int) -> str:
    return "demo:" + blake2b(f"{seed}/{team}/{number}".encode(), digest_size=8).hexdigest()
