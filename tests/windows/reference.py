"""Rolling windows in plain loops, from DESIGN.md §6 alone, and the state that pane updates describe."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import polars as pl

from streams.windows.measures import MEASURES, OUTCOME_MEASURES, USAGE_MEASURES

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
PANE = 5 * MINUTE
SIZES = {"1h": (HOUR, PANE), "24h": (DAY, HOUR), "7d": (7 * DAY, 6 * HOUR), "28d": (28 * DAY, DAY)}

Amounts = dict[str, int]


class Key(NamedTuple):
    """Identity of a window; `end` in us."""

    tenant: str
    grouping: str
    team: str
    tool: str
    model: str
    work_class: str
    size: str
    end: int


class Share(NamedTuple):
    """Whose usage pane; `start` in us."""

    kpart: int
    tenant: str
    team: str
    tool: str
    model: str
    start: int


Item = tuple[int, str, str]


class Booking(NamedTuple):
    """A booking of an item; `moved` ones hold no amounts."""

    at: int
    kind: str
    team: str
    tool: str
    model: str
    work_class: str
    amounts: tuple[tuple[str, int], ...] = ()


@dataclass
class Truth:
    """What all updates so far say, and the versions of the updates that said it."""

    panes: dict[Share, Amounts] = field(default_factory=dict)
    items: dict[Item, list[Booking]] = field(default_factory=dict)
    actors: set[tuple[Share, int]] = field(default_factory=set)
    versions: dict[Share | Item, int] = field(default_factory=dict)

    def since(self, floor: int) -> Truth:
        """The part that an engine needs that keeps nothing before a time."""
        return Truth(
            {share: amounts for share, amounts in self.panes.items() if share.start >= floor},
            {item: booked for item, booked in self.items.items() if any(b.at >= floor for b in booked)},
            {(share, actor) for share, actor in self.actors if share.start >= floor},
            self.versions,
        )


Group = tuple[str, str, str, str, str, str]


def groups(tenant: str, team: str, tool: str, model: str, work_class: str) -> Iterator[Group]:
    """The eight groups that a pane belongs to: tenant, grouping, team, tool, model, work_class."""
    yield tenant, "tenant", "", "", "", ""
    yield tenant, "team", team, "", "", ""
    yield tenant, "team_tool", team, tool, "", ""
    yield tenant, "team_model", team, "", model, ""
    yield tenant, "team_class", team, "", "", work_class
    yield tenant, "tenant_tool", "", tool, "", ""
    yield tenant, "tenant_model", "", "", model, ""
    yield tenant, "tenant_class", "", "", "", work_class


def ends(at: int) -> Iterator[tuple[str, int]]:
    """(size, end) of each window that contains a time."""
    for size, (length, slide) in SIZES.items():
        end = (at // slide + 1) * slide
        while end - length <= at:
            yield size, end
            end += slide


def windows(truth: Truth) -> dict[Key, Amounts]:
    """Every window with anything in it: its non-zero measures and `contributors`."""
    sums: dict[Key, Amounts] = defaultdict(lambda: defaultdict(int))
    people: dict[Key, set[int]] = defaultdict(set)
    for share, amounts in truth.panes.items():
        for group in groups(*share[1:5], ""):
            for size, end in ends(share.start):
                for name, amount in amounts.items():
                    sums[Key(*group, size, end)][name] += amount
    for (_, tenant, _), bookings in truth.items.items():
        for b in bookings:
            for group in groups(tenant, b.team, b.tool, b.model, b.work_class):
                for size, end in ends(b.at):
                    for name, amount in b.amounts:
                        sums[Key(*group, size, end)][name] += amount
    for share, actor in truth.actors:
        for group in groups(*share[1:5], ""):
            for size, end in ends(share.start):
                people[Key(*group, size, end)].add(actor)
    out: dict[Key, Amounts] = {}
    for key, held in sums.items():
        if any(held.values()):
            grouping = {"team_class": "team", "tenant_class": "tenant"}.get(key.grouping, key.grouping)
            contributors = len(people[key._replace(grouping=grouping, work_class="")])
            out[key] = {name: amount for name, amount in held.items() if amount} | {"contributors": contributors}
    return out


NEWEST = 1 << 40

Versions = Mapping[Any, int]
"""By share or item; NEWEST where one is missing."""


def pane_frame(panes: dict[Share, Amounts], versions: Versions = MappingProxyType({})) -> pl.DataFrame:
    """Rows of a panes update."""
    rows = [
        (*share, *(amounts.get(name, 0) for name in USAGE_MEASURES), versions.get(share, NEWEST))
        for share, amounts in panes.items()
    ]
    schema = {
        "kpart": pl.UInt16,
        **dict.fromkeys(("tenant", "team", "tool", "model"), pl.String),
        "pane_start": pl.Int64,
        **dict.fromkeys(USAGE_MEASURES, pl.Int64),
        "version": pl.UInt64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def booking_frame(items: dict[Item, list[Booking]], versions: Versions = MappingProxyType({})) -> pl.DataFrame:
    """Rows of a bookings update."""
    rows = [
        (
            *item,
            *booking[:6],
            *(dict(booking.amounts).get(name, 0) for name in OUTCOME_MEASURES),
            versions.get(item, NEWEST),
        )
        for item, bookings in items.items()
        for booking in bookings
    ]
    schema = {"kpart": pl.UInt16, "tenant": pl.String, "work_item_id": pl.String, "at": pl.Int64}
    names = ("kind", "team", "tool", "model", "work_class")
    return pl.DataFrame(
        rows,
        schema={
            **schema,
            **dict.fromkeys(names, pl.String),
            **dict.fromkeys(OUTCOME_MEASURES, pl.Int64),
            "version": pl.UInt64,
        },
        orient="row",
    )


def actor_frame(actors: set[tuple[Share, int]]) -> pl.DataFrame:
    """Rows of an actors update."""
    schema = {
        "kpart": pl.UInt16,
        **dict.fromkeys(("tenant", "team", "tool", "model"), pl.String),
        "pane_start": pl.Int64,
    }
    return pl.DataFrame(
        [(*share, actor) for share, actor in sorted(actors)], schema={**schema, "actor_hash": pl.UInt64}, orient="row"
    )


def read_rows(frame: pl.DataFrame) -> Iterator[tuple[Key, dict[str, int | str]]]:
    """Keys and values of written windows; times as Int64 us."""
    times = frame.with_columns(pl.col("window_end", "watermark").cast(pl.Int64))
    for row in times.iter_rows(named=True):
        key = Key(
            *(
                row.pop(name)
                for name in ("tenant", "grouping", "team", "tool", "model", "work_class", "size", "window_end")
            )
        )
        yield key, row


def amounts_of(row: dict[str, int | str]) -> Amounts:
    """What a written window says, in the form of `windows`; empty when all measures are zero."""
    held = {name: int(row[name]) for name in MEASURES if row[name]}
    return held | {"contributors": int(row["contributors"])} if held else {}


def sums_frames(
    truth: Truth, tenants: set[str], slide: int, buckets: set[int]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Usage and bookings summed by series and bucket, and actors, of some tenants and buckets, as the store would answer."""
    usage: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    booked: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for share, amounts in truth.panes.items():
        held = usage[*share[1:5], share.start // slide]
        for name, amount in amounts.items():
            held[name] += amount
    for (_, tenant, _), bookings in truth.items.items():
        for b in bookings:
            held = booked[tenant, *b[2:6], b.at // slide]
            for name, amount in b.amounts:
                held[name] += amount
    actors = {(*share[1:5], share.start // slide, actor) for share, actor in truth.actors}
    names = dict.fromkeys(("tenant", "team", "tool", "model"), pl.String)
    frames = []
    for schema, measures, rows in (
        (names, USAGE_MEASURES, usage),
        (names | {"work_class": pl.String}, OUTCOME_MEASURES, booked),
    ):
        frames.append(
            pl.DataFrame(
                [
                    (*key, *(held[name] for name in measures))
                    for key, held in rows.items()
                    if key[0] in tenants and key[-1] in buckets
                ],
                schema={**schema, "bucket": pl.Int64, **dict.fromkeys(measures, pl.Int64)},
                orient="row",
            )
        )
    people = pl.DataFrame(
        [row for row in sorted(actors) if row[0] in tenants and row[4] in buckets],
        schema={**names, "bucket": pl.Int64, "actor_hash": pl.UInt64},
        orient="row",
    )
    return frames[0], frames[1], people
