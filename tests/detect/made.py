"""Windows of a made company: what each team spends in each hour, summed into rows of value_windows as the window agent would write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from streams.detect.observed import SIZE_US, SLIDE_US
from streams.windows.measures import DAY_US, HOUR_US
from streams.windows.updates import WINDOW_COLUMNS

T0 = 1_767_571_200_000_000
"""A Monday, 2026-01-05."""
LATENESS_US = 600_000_000
USD = 1_000_000
_TEXT = ("tenant", "grouping", "team", "work_class", "size", "status")


@dataclass
class Hour:
    """What happened in one hour, at its beginning; money in USD."""

    spend: float = 0
    unattributed: float = 0
    enabling: float = 0
    core_cost: float = 0
    low_cost: float = 0
    abandoned: float = 0
    core_value: float = 0
    items: int = 0
    repeated: int = 0
    requests: int = 0
    mtok: float = 0
    low_items: int = 0


@dataclass
class Company:
    """`tell(team, hour)` says what happened in hour number `hour` since T0. Its requests come evenly in its first `panes` of five minutes."""

    teams: Iterable[str]
    hours: int
    tell: Callable[[str, int], Hour | None]
    backfill: Callable[[int], bool] = field(default=lambda end_us: True)
    panes: int = 1

    @property
    def end_us(self) -> int:
        return T0 + self.hours * HOUR_US

    def windows(self) -> pl.DataFrame:
        """All final windows with ends up to eight days after the last hour."""
        rows = []
        for team in self.teams:
            told = {hour: said for hour in range(self.hours) if (said := self.tell(team, hour)) is not None}
            for size, slide in SLIDE_US.items():
                sums: dict[tuple[int, str], dict[str, float]] = {}
                for begin, said in self._parts(told):
                    for end in range((begin // slide + 1) * slide, begin + SIZE_US[size] + 1, slide):
                        for work_class, measures in _measures(said).items():
                            row = sums.setdefault((end, work_class), {})
                            for name, amount in measures.items():
                                row[name] = row.get(name, 0) + amount
                rows += [self._row(team, size, end, of, row) for (end, of), row in sums.items() if any(row.values())]
        frame = pl.DataFrame(rows, schema={name: pl.String if name in _TEXT else pl.Int64 for name in WINDOW_COLUMNS})
        return frame.sort("window_end", "size", "team", "work_class")

    def _parts(self, told: Mapping[int, Hour]) -> Iterator[tuple[int, Hour]]:
        """What happened, each at its instant."""
        for hour, said in told.items():
            begin = T0 + hour * HOUR_US
            first, more = divmod(said.requests, self.panes)
            yield begin, replace(said, requests=first + more)
            for pane in range(1, self.panes):
                yield begin + pane * SLIDE_US["1h"], Hour(requests=first)

    def _row(self, team: str, size: str, end: int, work_class: str, measures: Mapping[str, float]) -> dict[str, object]:
        plain: dict[str, object] = dict.fromkeys(WINDOW_COLUMNS, 0)
        return plain | {name: round(amount) for name, amount in measures.items()} | {
            "tenant": "acme",
            "grouping": "team_class" if work_class else "team",
            "team": team,
            "work_class": work_class,
            "size": size,
            "window_end": end,
            "status": "final",
            "backfill": int(self.backfill(end)),
        }  # fmt: skip


def _measures(said: Hour) -> dict[str, dict[str, float]]:
    cost, value = "matched_standard_cost_micro_usd_credited", "value_credited_milli"
    return {
        "": {
            "standard_cost_micro_usd": said.spend * USD,
            "unattributed_standard_cost_micro_usd": said.unattributed * USD,
            "enabling_standard_cost_micro_usd": said.enabling * USD,
            cost: (said.core_cost + said.low_cost) * USD,
            "abandoned_standard_cost_micro_usd_booked": said.abandoned * USD,
            "items_completed": said.items,
            "repeated_prompts": said.repeated,
            "requests": said.requests,
            "tokens": said.mtok * 1_000_000,
            value: said.core_value * 1000,
        },
        "core": {cost: said.core_cost * USD, value: said.core_value * 1000},
        "low_value": {cost: said.low_cost * USD, "items_completed": said.low_items},
    }


def office(hour: int) -> bool:
    """Hours 9 to 17 of Monday to Friday."""
    return hour // 24 % 7 < 5 and 9 <= hour % 24 < 17


def day(number: int, hour: int = 0) -> int:
    """Number of the hour `hour` of day `number`."""
    return number * (DAY_US // HOUR_US) + hour
