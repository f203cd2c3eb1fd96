"""The company of the demo: its teams, what they spend, and how much core work they get done in an ordinary week."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Team:
    """An ordinary week of one team. Shares are of the team's AI spend; `core_week` is value in typical core items."""

    name: str
    key: str
    people: int
    spend_week_usd: float
    core_week: float
    enabling: float = 0.04
    unattributed: float = 0.05
    low_value: float = 0.13
    supporting: float = 0.21
    tracker: str = "jira"
    utc_shift_h: int = 0
    on_call: bool = False
    reopens: bool = True


_TEAMS: Final = (
    Team("search", "SEA", 10, 690, 16.5),
    Team("ads-ui", "ADS", 9, 520, 20, unattributed=0.06),
    Team("payments", "PAY", 12, 750, 44, enabling=0.03),
    Team("sre", "SRE", 8, 500, 6, enabling=0.63, supporting=0.45, low_value=0.08, utc_shift_h=-3, on_call=True),
    Team("checkout", "CHK", 8, 310, 34, enabling=0.02, unattributed=0.04, low_value=0.06, reopens=False),
    Team("data-platform", "DAT", 8, 330, 13, tracker="github"),
    Team("mobile", "MOB", 9, 370, 15, utc_shift_h=-7),
    Team("growth", "GRO", 8, 380, 13, tracker="linear"),
    Team("identity", "IDN", 6, 270, 12, utc_shift_h=-5),
    Team("catalog", "CAT", 6, 260, 13, tracker="github"),
    Team("logistics", "LOG", 6, 250, 13, utc_shift_h=1),
    Team("support-tools", "SUP", 6, 240, 12, tracker="linear"),
)


def team_list(count: int) -> tuple[Team, ...]:
    """The first `count` teams; beyond the twelve, ordinary teams modelled on the last eight. Raises ValueError below 1."""
    if count < 1:
        raise ValueError("a company has at least one team")
    teams = list(_TEAMS[:count])
    ordinary = _TEAMS[4:]
    while len(teams) < count:
        number = len(teams) + 1
        model = ordinary[number % len(ordinary)]
        teams.append(replace(model, name=f"team-{number}", key=f"T{number}", low_value=0.13, reopens=True))
    return tuple(teams)
