"""Whatever the order, the cuts, the steps of the watermark and the restarts: the windows are those of the naive reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.windows.reference import DAY, HOUR, MINUTE, PANE, Booking, Share, amounts_of
from tests.windows.shell import LATENESS, Shell, Update

DAY_0 = 19_723 * DAY  # 2024-01-01

MOMENTS = [
    DAY_0 + day * DAY + hour * HOUR + minute * MINUTE
    for day, hour, minute in (
        (0, 0, 0),
        (0, 0, 4),
        (0, 0, 55),
        (0, 5, 59),
        (0, 6, 0),
        (0, 23, 55),
        (1, 0, 0),
        (7, 5, 0),
        (27, 0, 0),
        (28, 0, 0),
        (36, 12, 30),
    )
]
"""Few, so that updates meet in panes; at the borders of panes, hours, quarters of a day, days and window sizes."""
AMOUNT = st.integers(1, 3)
OUTCOMES = st.sampled_from(("items_completed", "value_credited_milli", "abandoned_standard_cost_micro_usd_reversed"))


def times_near(moments: Sequence[int]) -> SearchStrategy[int]:
    return st.builds(lambda moment, us: moment + us, st.sampled_from(moments), st.sampled_from((0, 1, MINUTE - 1)))


def updates_at(
    times: SearchStrategy[int], tenants: Sequence[str], tools: Sequence[str], familiar: Sequence[Share], items: int
) -> SearchStrategy[tuple[str, Any]]:
    """Updates of panes, items (at most so many) and actors."""
    names = {"team": st.sampled_from(("a", "b")), "tool": st.sampled_from(tools), "model": st.sampled_from(("m", "n"))}
    shares = st.one_of(
        st.sampled_from(familiar),
        st.builds(
            Share,
            kpart=st.integers(0, 1),
            tenant=st.sampled_from(tenants),
            **names,
            start=times.map(lambda at: at // PANE * PANE),
        ),
    )
    bookings = st.builds(
        Booking,
        at=times,
        kind=st.sampled_from(("credit", "debit")),
        **names,
        work_class=st.sampled_from(("", "core", "low_value")),
        amounts=st.tuples(st.tuples(OUTCOMES, AMOUNT)),
    )
    amounts = st.fixed_dictionaries({"requests": AMOUNT}, optional={"tokens": AMOUNT, "repeated_prompts": AMOUNT})
    other_items = st.tuples(st.integers(0, 1), st.sampled_from(tenants), st.sampled_from(("i", "j")))
    of_items = st.dictionaries(
        st.one_of(st.just((0, "acme", "i")), other_items),
        st.lists(bookings, min_size=1, max_size=3 if items > 1 else 1),
        max_size=items,
    )
    return st.one_of(
        st.tuples(st.just("panes"), st.dictionaries(shares, amounts, max_size=4)),
        st.tuples(st.just("items"), of_items),
        st.tuples(st.just("actors"), st.sets(st.tuples(shares, st.sampled_from((1, 2, 2**64 - 1))), max_size=4)),
    )


TIMES = times_near(MOMENTS)
FAMILIAR = [Share(kpart, "acme", "a", "cli", "m", MOMENTS[0] // PANE * PANE) for kpart in range(2)]
UPDATES = updates_at(TIMES, ("acme", "beta"), ("", "cli"), FAMILIAR, 2)

WATERMARK_STEPS = (0, 1, MINUTE, PANE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 10 * DAY)
CLOCK_STEPS = (0, MINUTE // 100, MINUTE // 30, MINUTE, 2 * HOUR)
ACTIONS = st.one_of(
    st.tuples(st.just("consume"), st.integers(1, 3)),
    st.tuples(st.just("advance"), st.sampled_from(WATERMARK_STEPS), st.sampled_from(CLOCK_STEPS), st.booleans()),
    st.tuples(st.just("restart")),
    st.tuples(st.just("ahead"), st.integers(0, 3)),
    st.tuples(st.just("hear_again"), st.integers(1, 3)),
)
HORIZONS = st.sampled_from((0, DAY, 10 * DAY, 1000 * DAY))

EDGES = [DAY_0 + day * DAY + us for day in (-1, 0, 1, 27, 28) for us in (0, DAY - HOUR - PANE)]
AT_EDGES = times_near(EDGES)
EDGE_UPDATES = updates_at(AT_EDGES, ("acme",), ("cli",), [Share(0, "acme", "a", "cli", "m", EDGES[2])], 1)
"""Few places at the first day that is in memory when the watermark is 28 days later, and at the ends of the windows that reach back before it."""
EDGE_ACTIONS = st.one_of(
    st.tuples(st.just("consume"), st.integers(1, 3)),
    st.tuples(st.just("advance"), st.sampled_from((0, DAY, 28 * DAY)), st.just(2 * HOUR), st.just(True)),
    st.tuples(st.just("restart")),
    st.tuples(st.just("ahead"), st.integers(0, 3)),
    st.tuples(st.just("hear_again"), st.integers(1, 8)),
)


def with_marks(log: list[tuple[str, Update]]) -> list[tuple[str, Any]]:
    """The log as a join agent would write it: an actor has a pane, and places that an item's last update booked and this one does not are marked."""
    out: list[tuple[str, Any]] = []
    items: dict[tuple[int, str, str], list[Booking]] = {}
    update: Any
    for kind, update in log:
        if kind == "items":
            left = {item: [b._replace(kind="moved", amounts=()) for b in items.get(item, [])] for item in update}
            items |= update
            out.append((kind, {item: [*bookings, *left[item]] for item, bookings in update.items()}))
            continue
        if kind == "actors":
            out.append(("panes", {share: {"requests": 1} for share, _ in update}))
        out.append((kind, update))
    return out


def play(shell: Shell, actions: list[tuple[Any, ...]], *, start: int, clock: int) -> None:
    """Run a schedule, then bring everything to the end and compare."""
    watermark, now = start, clock
    for action, *values in actions:
        if action == "consume":
            shell.consume(values[0])
        elif action == "advance":
            watermark, now = watermark + values[0], now + values[1]
            shell.advance(watermark, now, flush=values[2])
        elif action == "hear_again":
            shell.hear_again(values[0])
        elif action == "ahead":
            shell.ahead = values[0]
        elif shell.watermark is not None:
            shell.restart()
    shell.consume(len(shell.log))
    shell.advance(watermark, now, flush=True)
    shell.expect()
    assert not shell.engine.waiting
    written = {key: amounts_of(row) for key, row in shell.stored.items()}
    for back in range(1, len(shell.log) + 1):
        shell.hear_again(back)
    shell.advance(watermark, now, flush=True)
    assert {key: amounts_of(row) for key, row in shell.stored.items()} == written


@settings(max_examples=60, deadline=None)
@given(
    st.lists(UPDATES, max_size=8),
    st.lists(ACTIONS, max_size=12),
    TIMES,
    st.sampled_from((0, 3 * HOUR, 400 * DAY)),
    HORIZONS,
)
def test_any_schedule_gives_the_windows_of_the_reference(
    log: list[tuple[str, Update]], actions: list[tuple[Any, ...]], start: int, wall_lag: int, horizon: int
) -> None:
    shell = Shell(log=with_marks(log), horizon=horizon)
    play(shell, actions, start=start, clock=start + wall_lag)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(EDGE_UPDATES, min_size=2, max_size=8),
    st.lists(EDGE_ACTIONS, min_size=3, max_size=16),
    st.sampled_from((0, 27 * DAY, 28 * DAY, 29 * DAY)),
    st.sampled_from((0, DAY)),
)
def test_windows_that_begin_before_what_is_in_memory_are_those_of_the_reference(
    log: list[tuple[str, Update]], actions: list[tuple[Any, ...]], lag: int, horizon: int
) -> None:
    shell = Shell(log=with_marks(log), horizon=horizon)
    play(shell, actions, start=DAY_0 + lag + LATENESS, clock=DAY_0 + lag)
