"""A labelled history: what a made company's teams used and completed, with all that happened, at the level that alert rules read.

teams       who they are and when they work      happenings   what happens to them, with labels
life        usage and completions, in cells      rolling      cells summed into windows
scoring     alerts beside labels                 evaluate     the command
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from benchmarks.detection.happenings import FIRST_CELL, Happening, plan
from benchmarks.detection.life import live
from benchmarks.detection.rolling import windows
from benchmarks.detection.teams import CELL_US, DAY, T0_US, Team, draw_team

WHOLE_DAYS: Final = FIRST_CELL // DAY + 14
"""From so many days on every pattern fits in, and a drift of a week can begin and be told."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`windows`: rows of value_windows (WINDOW_COLUMNS), in order of their ends."""

    seed: int
    days: int
    teams: tuple[Team, ...]
    happenings: tuple[Happening, ...]
    windows: pl.DataFrame

    @property
    def end_us(self) -> int:
        return T0_US + self.days * DAY * CELL_US


def make_scenario(*, seed: int, teams: int, days: int, progress: Callable[[str], None] = lambda _: None) -> Scenario:
    """The same arguments make the same history. Raises ValueError below one team or one day. Nothing happens in the first 24 days, and not every pattern
    fits in before WHOLE_DAYS."""
    if teams < 1 or days < 1:
        raise ValueError("needs at least one team and one day")
    staff = tuple(draw_team(np.random.default_rng([seed, 1, number]), number) for number in range(teams))
    happenings = tuple(plan(np.random.default_rng([seed, 2]), staff, days))
    frames = []
    for number, team in enumerate(staff):
        mine = [happening for happening in happenings if happening.team == number]
        cells = live(np.random.default_rng([seed, 3, number]), team, days * DAY, mine)
        late = [(happening.begin, happening.end) for happening in mine if happening.kind == "backfill"]
        frames.append(windows(team.name, cells, late))
        progress(f"making {number + 1} of {teams} teams")
    return Scenario(seed, days, staff, happenings, pl.concat(frames).sort("window_end", "size", "team", "work_class"))
