"""The work items of the demo: what each team starts, finishes, cancels, reopens and lets lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import numpy as np

from streams.local.traffic.company import WARM_UP_DAYS, Company
from streams.local.traffic.episodes import Episode
from streams.local.traffic.rhythm import WORKDAYS_A_WEEK, Floats
from streams.local.traffic.teams import Team
from streams.windows.measures import DAY_US, HOUR_US

Dealt = TypeVar("Dealt")

# Decks are dealt round: the mix of every twenty items is the same, so that a team's weeks differ by life, not by the draw.
_CORE: Final = (
    *["story"] * 8,
    *["Feature"] * 3,
    *["improvement"] * 2,
    "customer request",
    "perf",
    *["bug"] * 4,
    "security",
)
_SUPPORTING: Final = (
    *["refactor"] * 5,
    *["tech-debt"] * 3,
    *["docs"] * 3,
    *["test"] * 2,
    *["spike"] * 2,
    "support",
    "migration",
    "incident",
    "task",
    "change",
)
_ON_CALL_WORK: Final = (*["incident"] * 8, *["runbook"] * 4, *["infra"] * 4, *["postmortem"] * 2, "support", "task")
_LOW: Final = (
    *["dependencies"] * 5,
    *["format"] * 3,
    *["newsletter"] * 3,
    *["slides"] * 3,
    *["status report"] * 2,
    *["rename"] * 2,
    "typo",
    "lint",
)
_POINTS: Final = (3, 2, 5, 1, 8, 3, 2, 3, 5, 1, 3, 2, 8, 3, 0, 2, 1, 3, 5, 2)
_USE: Final = (
    *["assisted", "assisted", "assisted", "unassisted", "assisted"] * 3,
    "assisted",
    "lightly",
    *["assisted"] * 2,
    "unassisted",
)
_CORE_VALUE: Final = 0.97
"""Mean value of a card of _CORE with its _POINTS."""
_ENDING: Final = (*["completed"] * 18, "canceled", *["completed"] * 14, "canceled")
_QUALITY: Final = (*["full"] * 96, "unknown", "unknown", "partial", "partial")
_WORKDAYS: Final = {"core": 4.4, "supporting": 3.4, "low_value": 2.0}
_LATE: Final = {"low_value_burn": 0.2, "busywork": 0.30, "context_bloat": 0.24}
"""Share of the core items that tokenmaxxing keeps from being finished: they end eight days later."""
_BUSY_WEEK: Final = {"low_value_burn": 60.0, "busywork": 26.0}
"""Low-value items a week that it makes instead."""


class Card(NamedTuple):
    """What is decided about an item before its time is. `points` 0: unsized. `use`: assisted, lightly or unassisted."""

    item_type: str
    points: int
    use: str


@dataclass(slots=True)
class Item:
    """One ticket. `end_us`: when it is closed, or would be: beyond the end of the traffic it is still open. `effort`: its pull on sessions."""

    team: int
    work_class: str
    card: Card
    start_us: int
    end_us: int
    item_id: str = ""
    effort: float = 1.0
    owner: int = 0
    quality: str = "full"
    ending: str = "completed"
    started: bool = True
    reopened_us: int = 0
    injected: str = ""
    epic_id: str = ""
    pull_request_id: str = ""
    subtask_ids: tuple[str, ...] = field(default=())


def deal(rng: np.random.Generator, deck: Sequence[Dealt], count: int) -> Iterator[Dealt]:
    """`count` cards from a deck that is shuffled again whenever it runs out."""
    while count > 0:
        for card in rng.permutation(len(deck))[:count]:
            yield deck[card]
        count -= len(deck)


def deal_evenly(rng: np.random.Generator, deck: Sequence[Card], count: int) -> Iterator[Card]:
    """Like `deal`, but any run of cards is worth about the same: the deck in order of worth, visited in golden-ratio steps."""
    ordered = sorted(deck, key=_worth)
    while count > 0:
        steps = (np.arange(len(deck)) * 0.6180339887 + rng.random()) % 1.0
        for card in np.argsort(np.argsort(steps))[:count]:
            yield ordered[card]
        count -= len(deck)


def _worth(card: Card) -> tuple[bool, int, str]:
    assisted = card.use == "assisted"
    return assisted, (card.points or 3) * (1 if assisted else -1), card.item_type


def team_items(company: Company, number: int) -> list[Item]:
    """All items of a team that begin before the end of the traffic, in order of their start."""
    team, rhythm, rng = company.teams[number], company.rhythms[number], company.rng
    core = team.core_week / _CORE_VALUE
    plan = {"core": (_CORE, core), "supporting": (_SUPPORTING, 0.45 * core + 1.5), "low_value": (_LOW, 0.2 * core + 4)}
    if team.on_call:
        plan["supporting"] = (_ON_CALL_WORK, 8.0)
    reach = (WARM_UP_DAYS - 1) * DAY_US
    items: list[Item] = []
    for work_class, (deck, rate) in plan.items():
        closes = rhythm.spread(rng, company.begin_us - reach, company.end_us + reach, rate, 0.45)
        items += _lives(company, number, work_class, deck, closes)
    for episode in company.happening(number, *_LATE):
        _delay_core(rng, items, episode)
        if episode.kind not in _BUSY_WEEK:
            continue
        closes = rhythm.spread(rng, episode.begin_us + 6 * HOUR_US, episode.end_us, _BUSY_WEEK[episode.kind], 0.45)
        busy = _lives(company, number, "low_value", _LOW, closes)
        for item in busy:
            item.injected, item.card, item.quality = episode.kind, item.card._replace(use="assisted"), "full"
            item.start_us = max(item.start_us, episode.begin_us - HOUR_US)
        items += busy
    for episode in company.happening(number, "bulk_close"):
        items += _bulk_close(rng, number, episode)
    # What ended before day 0 would be work without its usage: it is left out.
    items = [i for i in items if i.start_us < company.end_us and i.end_us >= company.begin_us]
    items.sort(key=lambda item: item.start_us)
    for k, item in enumerate(items, start=1):
        item.item_id = f"{team.key}-{k}"
        if item.work_class != "low_value" and not item.injected:
            item.epic_id = f"{team.key}-E{1 + k % 2}"
    _decorate(rng, team, items)
    return items


def stalled_items(company: Company) -> list[Item]:
    """Eight items begun, and used, in the days before day 0 and never touched again."""
    out = []
    for k in range(8):
        number = k % len(company.teams)
        start = company.begin_us - int(company.rng.uniform(4, 9) * DAY_US)
        item = Item(number, "core", Card("story", 5, "assisted"), start, end_us=company.end_us + 365 * DAY_US)
        item.item_id, item.injected = f"{company.teams[number].key}-S{k + 1}", "stalled"
        out.append(item)
    return out


def _lives(company: Company, number: int, work_class: str, deck: Sequence[str], closes: Floats) -> list[Item]:
    """Items that close at the given amounts of work; from a few hours to two weeks before, they began."""
    rng, rhythm, count = company.rng, company.rhythms[number], len(closes)
    cards = list(deal_evenly(rng, [Card(*card) for card in zip(deck, _POINTS, _USE, strict=True)], count))
    size = np.array([card.points or 3 for card in cards], dtype=np.float64)
    days = np.clip(_WORKDAYS[work_class] * np.sqrt(size / 3) * rng.lognormal(-0.1, 0.5, count), 0.25, 9.5)
    starts = rhythm.time_at(np.maximum(closes - days / WORKDAYS_A_WEEK, 0.0)).tolist()
    ends = rhythm.time_at(closes).tolist()
    pull = size * rng.lognormal(0, 0.35, count) / days
    owners = rng.integers(0, company.teams[number].people, count)
    items = [
        Item(number, work_class, card, start, max(end, start + HOUR_US // 2))
        for card, start, end in zip(cards, starts, ends, strict=True)
    ]
    for k, (item, quality, ending) in enumerate(
        zip(items, deal(rng, _QUALITY, count), deal(rng, _ENDING, count), strict=True)
    ):
        item.effort, item.owner, item.quality = float(pull[k]), int(owners[k]), quality
        item.ending = "completed" if work_class == "low_value" else ending
    return items


def _delay_core(rng: np.random.Generator, items: Sequence[Item], episode: Episode) -> None:
    hit = [i for i in items if i.work_class == "core" and episode.begin_us + DAY_US <= i.end_us < episode.end_us]
    for item, late in zip(hit, deal(rng, [n < _LATE[episode.kind] * 25 for n in range(25)], len(hit)), strict=True):
        if late:
            item.end_us += 8 * DAY_US


def _bulk_close(rng: np.random.Generator, number: int, episode: Episode) -> list[Item]:
    """Tickets that nobody ever worked on, closed within the episode."""
    card = Card("story", 3, "unassisted")
    times = np.sort(rng.integers(episode.begin_us, episode.end_us, 40)).tolist()
    return [Item(number, "core", card, t, t, effort=0.0, started=False, injected=episode.kind) for t in times]


def _decorate(rng: np.random.Generator, team: Team, items: Sequence[Item]) -> None:
    """Reopenings, pull requests and sub-tasks."""
    ordinary = [i for i in items if not i.injected]
    for k, (item, dice) in enumerate(zip(ordinary, rng.random((len(ordinary), 3)), strict=True)):
        if item.ending != "completed":
            continue
        if team.reopens and dice[0] < 0.035:
            item.reopened_us = item.end_us + int((0.2 + 2 * dice[1]) * DAY_US)
        if dice[1] < 0.6 and item.card.item_type not in ("newsletter", "slides", "status report"):
            item.pull_request_id = f"{team.name}/pr-{k + 1}"
        if item.work_class == "core" and item.card.points >= 5 and dice[2] < 0.5:
            item.subtask_ids = (f"{item.item_id}-a", f"{item.item_id}-b")
