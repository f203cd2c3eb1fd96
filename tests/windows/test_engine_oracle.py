"""From events to windows: whatever the cuts, restarts and late events, the final windows are those of the oracle."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.windows.measures import PANE_US
from tests.oracle.panes import canonical_key
from tests.oracle.windows import final_windows
from tests.oracle.world import Results, world
from tests.strategies import World, worlds
from tests.windows.reference import Booking, Share, amounts_of
from tests.windows.shell import LATENESS, Shell
from tests.windows.test_engine_properties import ACTIONS, HORIZONS, play

KPARTS = 2


def kpart_of(key: str) -> int:
    """Which input partition a canonical key lies in."""
    return sum(key.encode()) % KPARTS


def results_of(events: World, kpart: int) -> Results:
    """What the events of one input partition amount to."""
    usage = [event for event in events.usage if kpart_of(canonical_key(event)) == kpart]
    items = [event for event in events.items if kpart_of(f"{event['tenant']}/{event['work_item_id']}") == kpart]
    return world(usage, items)


def shares(results: Results, kpart: int) -> dict[Share, dict[str, int]]:
    """Usage panes of one input partition."""
    without_outcomes = world(results.usage, []).panes
    return {Share(kpart, p.tenant, p.team, p.tool, p.model, p.start): found for p, found in without_outcomes.items()}


def bookings(results: Results, kpart: int) -> dict[tuple[int, str, str], list[Booking]]:
    """Bookings of the items of one input partition that have any."""
    return {
        (kpart, *item): [
            Booking(b.at, b.kind, b.team, b.tool, b.model, b.work_class, tuple(b.measures.items()))
            for b in found.bookings
        ]
        for item, found in results.items.items()
        if found.bookings
    }


def people(results: Results, kpart: int) -> set[tuple[Share, int]]:
    """Actors of the usage panes of one input partition, by a number that stands for their hash."""
    return {
        (Share(kpart, p.tenant, p.team, p.tool, p.model, p.start), int.from_bytes(actor.encode(), "big"))
        for p, actors in results.contributors.items()
        for actor in actors
    }


def marks(before: list[Booking], after: list[Booking]) -> list[Booking]:
    """Empty bookings at the panes that an item has left."""

    def place(b: Booking) -> tuple[Any, ...]:
        return b.at // PANE_US * PANE_US, b.team, b.tool, b.model, b.work_class

    held = {place(b) for b in after}
    left = {place(b) for b in before if b.kind != "moved"} - held
    return [Booking(at, "moved", *names) for at, *names in sorted(left)]


def updates(before: Results, after: Results, kpart: int) -> list[tuple[str, Any]]:
    """What a join agent says when it has applied more events: the rows that changed, absolute."""
    known, found = shares(before, kpart), shares(after, kpart)
    panes = {share: amounts for share, amounts in found.items() if known.get(share) != amounts}
    booked, booking = bookings(before, kpart), bookings(after, kpart)
    items = {
        item: rows + left
        for item in sorted(booked.keys() | booking.keys())
        if (rows := booking.get(item, [])) != (old := booked.get(item, []))
        for left in [marks(old, rows)]
    }
    return [("panes", panes), ("actors", people(after, kpart) - people(before, kpart)), ("items", items)]


def prefixes(events: World, cuts: list[int]) -> list[World]:
    """The events as they arrive, in some batches: work items and usage advance together."""
    total = max(len(events.usage), len(events.items))
    ends = sorted({min(cut, total) for cut in cuts} | {0, total})
    return [World(events.usage[:end], events.items[:end], 0) for end in ends]


@settings(max_examples=25, deadline=None)
@given(
    worlds(max_usage=5, max_items=7),
    st.lists(st.integers(0, 12), max_size=5),
    st.lists(ACTIONS, max_size=10),
    st.sampled_from((0, 1, 20)),
    HORIZONS,
)
def test_final_windows_are_those_of_the_oracle(
    events: World, cuts: list[int], actions: list[tuple[Any, ...]], days_before: int, horizon: int
) -> None:
    arrived = [[results_of(prefix, kpart) for kpart in range(KPARTS)] for prefix in prefixes(events, cuts)]
    log = [
        update
        for before, after in pairwise(arrived)
        for kpart in range(KPARTS)
        for update in updates(before[kpart], after[kpart], kpart)
    ]
    first = min((event["occurred_at"] for event in (*events.usage, *events.items)), default=events.watermark)
    shell = Shell(log=log, horizon=horizon)
    play(shell, actions, start=first - days_before * 86_400_000_000, clock=events.watermark)
    shell.advance(events.watermark, shell.now, flush=True)
    assert shell.watermark is not None
    results = world(events.usage, events.items)
    expected = final_windows(results.panes, results.contributors, shell.watermark, LATENESS)
    written = {
        tuple(key): amounts
        for key, row in shell.stored.items()
        if row["status"] == "final" and (amounts := amounts_of(row))
    }
    assert written == {tuple(key): {"contributors": 0} | amounts for key, amounts in expected.items()}
