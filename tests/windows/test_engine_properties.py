"""Whatever the order, the cuts, the steps of the watermark and the restarts: the windows are those of the naive reference."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.windows.reference import DAY, HOUR, MINUTE, PANE, Booking, Share, amounts_of
from tests.windows.shell import Shell, Update

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
        (64, 0, 0),
        (97, 6, 0),
    )
]
"""Few, so that updates meet in panes; at the borders of panes, hours, quarters of a day, days and window sizes, and more than a window apart."""
TIMES = st.builds(lambda moment, us: moment + us, st.sampled_from(MOMENTS), st.sampled_from((0, 1, MINUTE - 1)))
TENANTS, TEAMS = st.sampled_from(("acme", "beta")), st.sampled_from(("a", "b"))
TOOLS, MODELS = st.sampled_from(("", "cli")), st.sampled_from(("m", "n"))
FAMILIAR = [Share(kpart, "acme", "a", "cli", "m", MOMENTS[0] // PANE * PANE) for kpart in range(2)]
SHARES = st.one_of(
    st.sampled_from(FAMILIAR),
    st.builds(
        Share,
        kpart=st.integers(0, 1),
        tenant=TENANTS,
        team=TEAMS,
        tool=TOOLS,
        model=MODELS,
        start=TIMES.map(lambda at: at // PANE * PANE),
    ),
)
AMOUNT = st.integers(1, 3)
OUTCOMES = st.sampled_from(("items_completed", "value_credited_milli", "abandoned_standard_cost_micro_usd_reversed"))
BOOKINGS = st.builds(
    Booking,
    at=TIMES,
    kind=st.sampled_from(("credit", "debit")),
    team=TEAMS,
    tool=TOOLS,
    model=MODELS,
    work_class=st.sampled_from(("", "core", "low_value")),
    amounts=st.tuples(st.tuples(OUTCOMES, AMOUNT)),
)
PANES = st.dictionaries(
    SHARES,
    st.fixed_dictionaries({"requests": AMOUNT}, optional={"tokens": AMOUNT, "repeated_prompts": AMOUNT}),
    max_size=4,
)
ITEMS = st.dictionaries(
    st.one_of(st.just((0, "acme", "i")), st.tuples(st.integers(0, 1), TENANTS, st.sampled_from(("i", "j")))),
    st.lists(BOOKINGS, min_size=1, max_size=3),
    max_size=2,
)
ACTORS = st.sets(st.tuples(SHARES, st.sampled_from((1, 2, 2**64 - 1))), max_size=4)
UPDATES = st.one_of(
    st.tuples(st.just("panes"), PANES), st.tuples(st.just("items"), ITEMS), st.tuples(st.just("actors"), ACTORS)
)

WATERMARK_STEPS = (0, 1, MINUTE, PANE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 10 * DAY, 30 * DAY, 60 * DAY)
CLOCK_STEPS = (0, MINUTE // 100, MINUTE // 30, MINUTE, 2 * HOUR)
ACTIONS = st.one_of(
    st.tuples(st.just("consume"), st.integers(1, 3)),
    st.tuples(st.just("advance"), st.sampled_from(WATERMARK_STEPS), st.sampled_from(CLOCK_STEPS), st.booleans()),
    st.tuples(st.just("restart")),
    st.tuples(st.just("ahead"), st.integers(0, 3)),
    st.tuples(st.just("hear_again"), st.integers(1, 3)),
)
HORIZONS = st.sampled_from((0, DAY, 10 * DAY, 1000 * DAY))


def with_marks(log: list[tuple[str, Update]]) -> list[tuple[str, Any]]:
    """The log as a join agent would write it: an actor has a pane, and panes that an item leaves stay marked."""
    out: list[tuple[str, Any]] = []
    items: dict[tuple[int, str, str], list[Booking]] = {}
    update: Any
    for kind, update in log:
        if kind == "items":
            left = {item: [b._replace(kind="moved", amounts=()) for b in items.get(item, [])] for item in update}
            items |= (marked := {item: [*bookings, *left[item]] for item, bookings in update.items()})
            out.append((kind, marked))
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
