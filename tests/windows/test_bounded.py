"""Memory is bounded by the retention of panes, and windows that begin before it are revised from the store."""

from __future__ import annotations

import pytest

from streams.windows.cold import _parts
from streams.windows.engine import kept_from
from tests.windows.reference import DAY, HOUR, PANE, Booking, Key, Share
from tests.windows.shell import LATENESS, Shell

DAY_0 = 19_723 * DAY
HERE = Share(0, "acme", "pay", "cli", "large", DAY_0)
ITEM = (0, "acme", "PAY-1")
CREDIT = Booking(DAY_0 + 1, "credit", "pay", "cli", "large", "core", (("items_completed", 1),))
CLASS = Key("acme", "team_class", "pay", "", "", "core", "1h", DAY_0 + PANE)


def advanced(shell: Shell, day: int) -> Shell:
    shell.consume(len(shell.log))
    shell.advance(DAY_0 + day * DAY, DAY_0 + day * DAY, flush=True)
    return shell


def test_rows_in_memory_stay_flat_over_months_and_the_windows_right() -> None:
    shell = Shell()
    kept = []
    for day in range(0, 150, 2):
        share = HERE._replace(start=DAY_0 + day * DAY + day % 5 * HOUR, team=f"t{day // 2 % 2}")
        booking = CREDIT._replace(at=share.start, team=share.team)
        shell.log += [
            ("panes", {share: {"requests": day + 1}}),
            ("actors", {(share, day)}),
            ("items", {(0, "acme", f"I-{day}"): [booking]}),
        ]
        advanced(shell, day + 1)
        kept.append(shell.engine.rows_kept)
    assert max(kept[25:]) <= max(kept[:25])
    assert shell.readings == 0
    shell.expect()


def test_late_data_within_the_horizon_is_served_from_memory() -> None:
    shell = advanced(Shell(), 100)
    shell.log.append(("panes", {HERE._replace(start=DAY_0 + 93 * DAY): {"requests": 1}}))
    advanced(shell, 100)
    assert shell.readings == 0
    shell.log.append(("panes", {HERE._replace(start=DAY_0 + 90 * DAY): {"requests": 1}}))
    advanced(shell, 100).expect()
    assert shell.readings == 1  # only 28d windows reach back so far


def test_all_late_updates_of_a_step_are_read_together() -> None:
    shell = advanced(Shell(), 400)
    for day in range(0, 180, 3):
        shell.log.append(("panes", {HERE._replace(start=DAY_0 + day * DAY, team=f"t{day % 4}"): {"requests": 1}}))
    advanced(shell, 400).expect()
    assert shell.readings == 4  # one for each size


def test_an_advance_that_could_not_read_the_store_happens_again() -> None:
    shell = advanced(Shell(log=[("panes", {HERE: {"requests": 1}})]), 100)
    shell.log.append(("panes", {HERE._replace(team="ads"): {"requests": 1}}))
    shell.consume(1)
    present, shell.readings = shell.present, 0

    def failing() -> None:
        if shell.readings in (1, 3):
            raise ConnectionError

    shell.present = lambda: failing() or present()  # type: ignore[method-assign, func-returns-value]
    for _ in range(2):
        with pytest.raises(ConnectionError):
            shell.advance(DAY_0 + 100 * DAY, DAY_0 + 101 * DAY)
        assert shell.engine.revisions_wait
    shell.advance(DAY_0 + 100 * DAY, DAY_0 + 101 * DAY)
    assert not shell.engine.revisions_wait
    shell.expect()


def test_a_cold_window_that_all_bookings_have_left_is_emptied() -> None:
    """The store is ahead: the mark of the place that the item has left is gone from its row."""
    shell = advanced(Shell(log=[("items", {ITEM: [CREDIT]})]), 100)
    assert shell.stored[CLASS]["items_completed"] == 1
    there = CREDIT._replace(at=DAY_0 + 2 * DAY)
    left = CREDIT._replace(kind="moved", amounts=())
    shell.log += [("items", {ITEM: [there, left]}), ("items", {ITEM: [there]})]
    shell.ahead = 1
    shell.consume(1)
    shell.advance(DAY_0 + 100 * DAY, DAY_0 + 100 * DAY, flush=True)
    assert (shell.stored[CLASS]["items_completed"], shell.stored[CLASS]["revision"]) == (0, 1)
    advanced(shell, 100).expect()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_worker_that_lost_its_partition_cannot_bring_a_forgotten_item_back(*, restarts: bool) -> None:
    recent = CREDIT._replace(at=DAY_0 + 99 * DAY)
    shell = Shell(
        log=[("items", {ITEM: [recent]}), ("items", {ITEM: [CREDIT, recent._replace(kind="moved", amounts=())]})]
    )
    advanced(shell, 100)
    shell.log.append(("items", {ITEM: [CREDIT]}))
    advanced(shell, 101)
    if restarts:
        shell.restart()
    shell.hear_again(3)
    advanced(shell, 102).expect()


def test_what_is_kept_is_whole_days() -> None:
    watermark = DAY_0 + 40 * DAY + LATENESS
    assert kept_from(None, LATENESS, DAY) == 0
    assert kept_from(watermark, LATENESS, DAY) == DAY_0 + 11 * DAY
    assert kept_from(watermark - 1, LATENESS, DAY) == DAY_0 + 10 * DAY
    assert kept_from(DAY, LATENESS, DAY) == 0


def test_readings_are_bounded_and_hold_each_window_once() -> None:
    numbers = [(0, 0), (5, 40), (41, 41), (100, 103)]
    parts = list(_parts(numbers, 4, 10))
    assert [n for part in parts for first, last in part for n in range(first, last + 1)] == [
        n for first, last in numbers for n in range(first, last + 1)
    ]
    assert max(sum(last - first + 4 for first, last in part) for part in parts) <= 10
    assert len(list(_parts(numbers, 4, 1000))) == 1
