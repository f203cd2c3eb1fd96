"""What happens to teams beside ordinary weeks: episodes of tokenmaxxing that must be told, and business that must stay quiet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from benchmarks.detection.teams import DAY, HOUR, WORKDAY, Team

Strength = Literal["strong", "moderate", "weak"]
STRENGTHS: Final[tuple[Strength, ...]] = ("strong", "moderate", "weak")
FIRST_CELL: Final = 24 * DAY
"""Rules need 14 days of a team's own history before the window, and windows are up to seven days long."""
APART: Final = 9 * DAY
"""Least time between two happenings of a team: the longest window and two days."""

RULES: Final[dict[str, tuple[str, ...]]] = {
    "agent_loop": ("spend_runaway",),
    "dear_loop": ("spend_runaway",),
    "spend_up": ("spend_up_core_flat",),
    "low_value": ("low_value_share", "spend_up_core_flat"),
    "hook_broken": ("unattributed_surge",),
    "repeated": ("repeated_prompts", "spend_up_core_flat", "spend_runaway"),
    "dead_feed": ("feed_silent",),
}
"""The patterns, and the rules of which at least one must tell each."""
DIGESTS: Final[dict[str, tuple[str, ...]]] = {"bulk_close": ("completion_surge",)}
"""What must make neither page nor ticket, but is worth a line in a digest of these rules."""
_DAYS: Final[dict[str, tuple[float, float]]] = {
    "agent_loop": (1.5 / 24, 8 / 24),
    "dear_loop": (1.5 / 24, 8 / 24),
    "spend_up": (7, 14),
    "low_value": (7, 14),
    "hook_broken": (2, 5),
    "repeated": (2, 5),
    "dead_feed": (4 / 24, 2),
    "holiday": (1, 1),
    "half_day": (0.4, 0.4),
    "shutdown": (7, 7),
    "release": (7, 14),
    "growth": (42, 42),
    "team_grows": (14, 14),
    "team_shrinks": (14, 14),
    "model_upgrade": (14, 14),
    "price_change": (14, 14),
    "incident_week": (3, 7),
    "batch_job": (1.5 / 24, 4 / 24),
    "bulk_close": (1 / 24, 1 / 24),
    "backfill": (4, 8),
}
QUIET: Final = tuple(kind for kind in _DAYS if kind not in RULES)
_SIZES: Final[dict[tuple[str, Strength], tuple[float, float]]] = {
    ("agent_loop", "strong"): (12, 25),  # times a busy hour of the team, on top of its own work
    ("agent_loop", "moderate"): (5.5, 9),
    ("agent_loop", "weak"): (2, 4),
    ("dear_loop", "strong"): (12, 25),  # the same, on a model 2 to 10 times as dear as the team's
    ("dear_loop", "moderate"): (5.5, 9),
    ("dear_loop", "weak"): (2, 4),
    ("spend_up", "strong"): (2.5, 3.5),  # times its usual spend
    ("spend_up", "moderate"): (1.7, 2.1),
    ("spend_up", "weak"): (1.25, 1.45),
    ("low_value", "strong"): (0.5, 0.65),  # part of the work on items that moves to low-value ones
    ("low_value", "moderate"): (0.3, 0.42),
    ("low_value", "weak"): (0.12, 0.2),
    ("hook_broken", "strong"): (0.85, 1.0),  # part of the usage that loses its item
    ("hook_broken", "moderate"): (0.5, 0.7),
    ("hook_broken", "weak"): (0.25, 0.35),
    ("repeated", "strong"): (0.55, 0.7),  # part of the requests that only repeat
    ("repeated", "moderate"): (0.33, 0.45),
    ("repeated", "weak"): (0.1, 0.2),
    ("dead_feed", "strong"): (1, 1),  # part of the usage that never arrives, and a team that is large enough to miss it
    ("dead_feed", "moderate"): (1, 1),
    ("dead_feed", "weak"): (0.5, 0.75),
}
_LEAST_USD_A_WEEK: Final = {"agent_loop": 0.0, "dear_loop": 0.0, "dead_feed": 0.0}
"""The other patterns concern teams that spend at least $400 a week: below it a doubling is not worth an hour of anybody's time."""
_LEAST_PEOPLE: Final = {("dead_feed", "strong"): 14, ("dead_feed", "moderate"): 10}


@dataclass(frozen=True, slots=True)
class Happening:
    """From cell `begin` to cell `end` (exclusive). `strength` is empty, and `size` a kind's own measure, for what must stay quiet."""

    kind: str
    team: int
    strength: Strength | Literal[""]
    size: float
    begin: int
    end: int

    @property
    def rules(self) -> tuple[str, ...]:
        return RULES.get(self.kind, ())


def plan(rng: np.random.Generator, teams: tuple[Team, ...], days: int) -> list[Happening]:
    """About one happening a team and fifteen days; patterns and strengths in turn. Some broken hooks and feeds hit three teams at once."""
    planned: list[Happening] = []
    if days * DAY <= FIRST_CELL:
        return planned
    deck = [(kind, strength) for kind in RULES for strength in STRENGTHS]
    wanted = round(len(teams) * (days * DAY - FIRST_CELL) / (15 * DAY))
    cards = [card for _ in range(wanted // 2 // len(deck) + 1) for card in _shuffled(rng, deck)][: max(wanted // 2, 1)]
    for number, (kind, strength) in enumerate(cards):
        together = 3 if kind in ("hook_broken", "dead_feed") and number % 3 == 0 else 1
        _place(rng, teams, days, planned, kind, strength, together)
    for number in range(wanted // 2):
        _place(rng, teams, days, planned, QUIET[number % len(QUIET)], "", 1)
    return sorted(planned, key=lambda happening: (happening.begin, happening.team))


def _shuffled(rng: np.random.Generator, deck: list[tuple[str, Strength]]) -> list[tuple[str, Strength]]:
    return [deck[place] for place in rng.permutation(len(deck))]


def _place(
    rng: np.random.Generator,
    teams: tuple[Team, ...],
    days: int,
    planned: list[Happening],
    kind: str,
    strength: Strength | Literal[""],
    together: int,
) -> None:
    """Find time and teams for it, if there are any."""
    for _ in range(40):
        number = int(rng.integers(len(teams)))
        length = max(round(rng.uniform(*_DAYS[kind]) * DAY), 1)
        begin = _begin(rng, teams[number], kind, days)
        free = [
            other
            for other in (number, *rng.permutation(len(teams)).tolist())
            if _suits(teams[other], kind, strength)
            and (kind != "dead_feed" or abs(teams[other].utc_shift_h - teams[number].utc_shift_h) <= 1)
            and all(h.team != other or h.end + APART <= begin or begin + length + APART <= h.begin for h in planned)
        ]
        chosen = list(dict.fromkeys(free))[:together]
        if number in chosen and len(chosen) == together and begin + min(length, 7 * DAY) <= days * DAY:
            size = float(rng.uniform(*_SIZES[kind, strength])) if strength else float(rng.random())
            end = min(begin + length, days * DAY)
            planned += [Happening(kind, team, strength, size, begin, end) for team in chosen]
            return


def _suits(team: Team, kind: str, strength: str) -> bool:
    if kind == "incident_week":
        return team.on_call
    enough = not strength or team.usd_a_week >= _LEAST_USD_A_WEEK.get(kind, 400.0)
    return enough and team.people >= _LEAST_PEOPLE.get((kind, strength), 0)


def _begin(rng: np.random.Generator, team: Team, kind: str, days: int) -> int:
    """A working hour of the team, for holidays its midnight, for loops, incidents and batch jobs any hour."""
    day = int(rng.integers(FIRST_CELL // DAY, days))
    if kind in ("agent_loop", "dear_loop", "incident_week", "batch_job"):
        return day * DAY + int(rng.integers(DAY))
    while (day % 7) >= 5:
        day = int(rng.integers(FIRST_CELL // DAY, days))
    begin = {"holiday": 0, "shutdown": 0, "half_day": 13 * HOUR}.get(kind)
    if begin is None:
        begin = int(rng.integers(*WORKDAY)) - (HOUR if kind == "dead_feed" else 0)
        begin = max(begin, WORKDAY[0] + HOUR) if kind == "dead_feed" else begin
    return max(day * DAY + begin - team.utc_shift_h * HOUR, FIRST_CELL)
