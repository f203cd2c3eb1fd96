"""Sessions of the demo: who sat down when, with which tool, on which work item, and how much it should cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

from streams.local.traffic.company import Company
from streams.local.traffic.episodes import MINUTE_US, Episode
from streams.local.traffic.item_table import CLASSES, ItemTable, Strings
from streams.local.traffic.items import Item
from streams.local.traffic.models import CHAT, CLAUDE_CODE, OPUS, TOOLS
from streams.local.traffic.rhythm import Ints
from streams.windows.measures import DAY_US

SESSIONS_A_USD: Final = 1.2
_BURN: Final = 1.16
"""Extra spend of the low-value burn, in ordinary weeks of the team."""
_LOOP_USD: Final = 430.0
_LOOP_AGENTS: Final = 16
_BLOAT: Final = 2.1
_BUSYWORK: Final = 0.55
_UNLINKED: Final = 0.85

SESSION_COLUMNS: Final = {
    "team": pl.Int64,
    "person": pl.Int64,
    "tool": pl.Int64,
    "model": pl.Int64,
    "item": pl.String,
    "activity": pl.String,
    "start_us": pl.Int64,
    "length_us": pl.Int64,
    "weight": pl.Float64,
    "bloat": pl.Float64,
    "quality": pl.String,
    "budget": pl.String,
}
"""One row is a session. `item` '': none. `weight`: its share of events. `budget`: the group whose cost is scaled to a sum; see Plan."""


class Plan:
    """Sessions of the whole company. `budgets`: standard cost in USD that each group of sessions should come to."""

    def __init__(self, company: Company, items: Sequence[Sequence[Item]], most: int) -> None:
        self.company, self.rng = company, company.rng
        self.tables = [ItemTable(of_team) for of_team in items]
        span = [company.begin_us, company.end_us]
        weeks = [float(np.diff(rhythm.work_at(span))[0]) for rhythm in company.rhythms]
        self.budgets = {t.name: t.spend_week_usd * w for t, w in zip(company.teams, weeks, strict=True)}
        planned = SESSIONS_A_USD * sum(self.budgets.values())
        self.density = SESSIONS_A_USD * min(1.0, most / max(planned, 1.0))
        parts: list[pl.DataFrame] = []
        for number in range(len(company.teams)):
            parts += [self._ordinary(number), *self._injected(number)]
        parts += [self._asides(number) for number in range(len(company.teams))]
        self.sessions = pl.concat(parts).sort("start_us", maintain_order=True)

    def _injected(self, number: int) -> Iterator[pl.DataFrame]:
        """Sessions that come on top of the ordinary ones."""
        team, rhythm = self.company.teams[number], self.company.rhythms[number]
        for episode in self.company.happening(number, "low_value_burn", "agent_loop", "incident_night"):
            budget = f"{team.name}:{episode.kind}"
            if episode.kind == "low_value_burn":
                rate = _BURN * team.spend_week_usd
                self.budgets[budget] = rate * float(np.diff(rhythm.work_at([episode.begin_us, episode.end_us]))[0])
                work = rhythm.spread(self.rng, episode.begin_us, episode.end_us, rate * self.density, 0.5)
                at = rhythm.time_at(work)
                table = self.tables[number]
                ids = table.ids(table.pick(self.rng, at, episode.kind))
                yield self._frame(number, at, ids, budget=budget)
            elif episode.kind == "agent_loop":
                self.budgets[budget] = _LOOP_USD
                yield self._loop(number, episode, budget)
            else:
                self.budgets[budget] = 0.2 * team.spend_week_usd
                count = int(self.budgets[budget] * self.density) + 1
                at = np.sort(self.rng.integers(episode.begin_us, episode.end_us, count))
                yield self._frame(number, at, _nothing(count), budget=budget, activity="operate")

    def _ordinary(self, number: int) -> pl.DataFrame:
        company, team, table, rng = self.company, self.company.teams[number], self.tables[number], self.rng
        rhythm = company.rhythms[number]
        rate = team.spend_week_usd * self.density
        times = rhythm.time_at(rhythm.spread(rng, company.begin_us, company.end_us, rate, 0.5))
        count = len(times)
        ticket = 1.0 - team.enabling - team.unattributed
        core = ticket - team.low_value - team.supporting * ticket
        edges = np.cumsum([team.enabling, team.unattributed, core, team.supporting * ticket])
        # Shuffled quantiles instead of draws: the shares of a team come out as planned.
        dice = (rng.permutation(count) + rng.random(count)) / max(count, 1)
        category = np.searchsorted(edges, dice, side="right")
        chosen = np.full(count, -1, dtype=np.int64)
        for k, work_class in enumerate(CLASSES, start=2):
            rows = np.flatnonzero(category == k)
            chosen[rows] = table.pick(rng, times[rows], work_class)
            for other in CLASSES:  # nothing of that class is open: people work on what is
                lacking = rows[chosen[rows] < 0]
                chosen[lacking] = table.pick(rng, times[lacking], other)
        after, long_after = rng.random(count) < 0.008, rng.random(count) < 0.003
        for mask, days in ((after, (0.0, 10.0)), (long_after, (15.0, 26.0))):
            rows = np.flatnonzero(mask & (category >= 2))
            closed = table.pick_closed(rng, times[rows], days)
            chosen[rows] = np.where(closed >= 0, closed, chosen[rows])
        self._divert(number, times, category, chosen)
        ids = self._stray(number, times, chosen)
        activity = np.where(category == 0, rng.choice(["review", "explore"], count, p=[0.6, 0.4]), "build").astype(
            object
        )
        if team.on_call:
            activity[(category == 0) & (rng.random(count) < 0.9)] = "operate"
        activity[(category == 1) & (rng.random(count) < 0.15)] = "automation"
        frame = self._frame(number, times, ids, budget=team.name, activity=activity, chosen=chosen)
        for episode in company.happening(number, "context_bloat"):
            inside = pl.col("start_us").is_between(episode.begin_us, episode.end_us)
            frame = frame.with_columns(bloat=pl.when(inside).then(_BLOAT).otherwise("bloat"))
        return frame

    def _asides(self, number: int) -> pl.DataFrame:
        """One question each on items that are otherwise done by hand, and the usage of items that stall before day 0."""
        company, rng, items = self.company, self.rng, self.tables[number].items
        by_hand = [
            i for i in items if i.card.use == "lightly" and i.start_us >= company.begin_us and i.end_us < company.end_us
        ]
        rows = [(i.item_id, i.start_us + int(rng.random() * (i.end_us - i.start_us))) for i in by_hand]
        light = len(rows)
        visits = max(1, round(25 * self.density / SESSIONS_A_USD))
        for item in (i for i in items if i.injected == "stalled"):
            last = company.begin_us - DAY_US
            rows += [(item.item_id, int(rng.integers(item.start_us, last))) for _ in range(visits)]
        ids = np.array([name for name, _ in rows], dtype=object)
        times = np.array([t for _, t in rows], dtype=np.int64)
        frame = self._frame(number, times, ids, budget=company.teams[number].name)
        return (
            frame.with_row_index("row")
            .with_columns(weight=pl.when(pl.col("row") < light).then(0.04).otherwise("weight"))
            .drop("row")
        )

    def _divert(self, number: int, times: Ints, category: Ints, chosen: Ints) -> None:
        """Episodes that move ordinary sessions to other work, or take the work item's name from them."""
        for episode in self.company.happening(number, "busywork", "link_lost"):
            inside = (times >= episode.begin_us) & (times < episode.end_us) & (category >= 2)
            share = _BUSYWORK if episode.kind == "busywork" else _UNLINKED
            rows = np.flatnonzero(inside & (self.rng.random(len(times)) < share))
            if episode.kind == "link_lost":
                chosen[rows] = -1
            else:
                busy = self.tables[number].pick(self.rng, times[rows], episode.kind)
                chosen[rows] = np.where(busy >= 0, busy, chosen[rows])

    def _stray(self, number: int, times: Ints, chosen: Ints) -> Strings:
        """Ids of the chosen items; some sessions name the pull request, a sub-task, the epic, another team's item, or an id that nobody knows."""
        rng, table, teams = self.rng, self.tables[number], self.company.teams
        ids = table.ids(chosen)
        dice = rng.random(len(times))
        for row in np.flatnonzero((chosen >= 0) & (dice < 0.07)):
            item, lot = table.items[chosen[row]], dice[row]
            if item.injected:
                continue
            if lot < 0.004:
                ids[row] = f"{teams[number].key}-X{row % 7}"
            elif lot < 0.007 and item.epic_id:
                ids[row] = item.epic_id
            elif item.subtask_ids and lot < 0.03:
                ids[row] = item.subtask_ids[row % 2]
            elif item.pull_request_id and 0 < item.end_us - times[row] < DAY_US:
                ids[row] = item.pull_request_id
        lent = np.flatnonzero((chosen >= 0) & (dice > 0.98))
        for row in lent if len(teams) > 1 else ():
            other = (number + 1 + row % (len(teams) - 1)) % len(teams)
            found = self.tables[other].pick(rng, times[row : row + 1], "core")[0]
            if found >= 0:
                ids[row] = self.tables[other].items[found].item_id
        return ids

    def _loop(self, number: int, episode: Episode, budget: str) -> pl.DataFrame:
        at = episode.begin_us + self.rng.integers(0, 4 * MINUTE_US, _LOOP_AGENTS)
        frame = self._frame(number, at, _nothing(len(at)), budget=budget)
        length = pl.lit(episode.end_us - 5 * MINUTE_US) - pl.col("start_us")
        return frame.with_columns(
            tool=pl.lit(CLAUDE_CODE, pl.Int64),
            model=pl.lit(OPUS, pl.Int64),
            length_us=length,
            weight=pl.lit(0.4 * _LOOP_USD * self.density / _LOOP_AGENTS),
            quality=pl.lit("full"),
        )

    def _frame(
        self,
        number: int,
        times: Ints,
        ids: Strings,
        *,
        budget: str,
        activity: Strings | str = "build",
        chosen: Ints | None = None,
    ) -> pl.DataFrame:
        """Sessions with their people, tools and models. `chosen`: rows of the team's items that decide owner and quality."""
        rng, team, count = self.rng, self.company.teams[number], len(times)
        people = rng.integers(0, team.people, count)
        quality = np.full(count, "full", dtype=object)
        if chosen is not None:
            items = self.tables[number].items
            owner = np.array([*(i.owner for i in items), -1])[chosen]
            people = np.where((owner >= 0) & (rng.random(count) < 0.8), owner, people)
            quality = np.array([*(i.quality for i in items), "full"], dtype=object)[chosen]
            quality[(chosen < 0) & (rng.random(count) < 0.01)] = "unknown"
        shares = np.array([t.share for t in TOOLS])
        favourite = np.searchsorted(np.cumsum(shares), (np.arange(team.people) + 0.5) / team.people)
        tool = np.where(rng.random(count) < 0.85, favourite[people], rng.choice(len(TOOLS), count, p=shares))
        tool = np.where((ids == "") & (rng.random(count) < 0.35), CHAT, tool)
        model = np.zeros(count, dtype=np.int64)
        for k, entry in enumerate(TOOLS):
            rows = np.flatnonzero(tool == k)
            names, parts = np.array([m for m, _ in entry.models]), np.array([p for _, p in entry.models])
            # Most people stay with one model of a tool; by golden-ratio steps the team as a whole has the tool's mix.
            usual = names[np.searchsorted(np.cumsum(parts), (people[rows] * 0.6180339887 + 0.31) % 1.0)]
            model[rows] = np.where(rng.random(len(rows)) < 0.8, usual, rng.choice(names, len(rows), p=parts))
        columns = {
            "team": np.full(count, number),
            "person": people,
            "tool": tool,
            "model": model,
            "item": ids,
            "activity": activity if not isinstance(activity, str) else np.full(count, activity, dtype=object),
            "start_us": times,
            "length_us": (np.clip(rng.lognormal(3.2, 0.6, count), 3, 150) * MINUTE_US).astype(np.int64),
            "weight": rng.lognormal(-0.18, 0.6, count),
            "bloat": np.ones(count),
            "quality": quality,
            "budget": np.full(count, budget, dtype=object),
        }
        return pl.DataFrame(columns, schema=SESSION_COLUMNS)


def _nothing(count: int) -> Strings:
    """No work item, `count` times."""
    return np.full(count, "", dtype=object)
