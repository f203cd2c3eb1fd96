"""What the engine writes when: final, revised and provisional windows, their throttles, revisions and backfill."""

from __future__ import annotations

import polars as pl
import pytest

from streams.windows.engine import WindowEngine
from streams.windows.families import FAMILIES, GROUPINGS, WINDOW_SCHEMA
from tests.windows.reference import (
    DAY,
    HOUR,
    MINUTE,
    PANE,
    Booking,
    Key,
    Share,
    actor_frame,
    booking_frame,
    pane_frame,
    windows,
)
from tests.windows.shell import LATENESS, Shell, Update

NOON = 19_723 * DAY + 12 * HOUR
SECOND = MINUTE // 60
HERE = Share(0, "acme", "pay", "cli", "large", NOON)
ITEM = (0, "acme", "PAY-1")
CREDIT = Booking(
    NOON + 1, "credit", "pay", "cli", "large", "core", (("items_completed", 1), ("value_credited_milli", 1000))
)


def team(size: str, end: int, grouping: str = "team", work_class: str = "") -> Key:
    return Key("acme", grouping, "pay", "", "", work_class, size, end)


def shell(*updates: tuple[str, Update], watermark: int = NOON, now: int = NOON) -> Shell:
    """A shell that has written everything up to a watermark."""
    made = Shell()
    made.advance(watermark, now)
    made.log += updates
    made.consume(len(updates))
    return made


def written(shell: Shell, watermark: int, now: int, *, flush: bool = False) -> dict[Key, dict[str, int | str]]:
    return {key: row for frame in shell.advance(watermark, now, flush=flush) for key, row in frame.items()}


def test_the_columns_are_those_of_the_table() -> None:
    made = shell(("panes", {HERE: {"requests": 1}}))
    [frame] = list(made.engine.advance(NOON + 2 * HOUR, NOON))
    assert frame.schema == WINDOW_SCHEMA
    assert set(frame["grouping"]) == set(GROUPINGS)
    assert set(frame["size"]) == {family.size for family in FAMILIES}
    assert frame["status"].unique().sort().to_list() == ["final", "provisional"]


def test_frames_are_cut_and_in_the_same_order_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.windows.engine.ROWS_PER_FRAME", 100)
    monkeypatch.setattr("streams.windows.engine.ROWS_PER_STRETCH", 1)
    panes = {HERE._replace(start=NOON + i * HOUR, team=f"t{i % 3}"): {"requests": i + 1} for i in range(40)}
    runs = [pl.concat(list(shell(("panes", panes)).engine.advance(NOON + 5 * DAY, NOON))) for _ in range(2)]
    frames = list(shell(("panes", panes)).engine.advance(NOON + 5 * DAY, NOON))
    assert max(map(len, frames)) <= 100
    assert runs[0].equals(runs[1])
    assert runs[0].equals(pl.concat(frames))
    played = shell(("panes", panes))
    played.advance(NOON + 5 * DAY, NOON)
    played.expect()


def test_a_window_is_provisional_until_lateness_has_passed_and_then_final() -> None:
    made = shell(("panes", {HERE: {"requests": 1}}))
    end = NOON + PANE
    first = written(made, NOON, NOON + 2 * SECOND)
    assert first[team("1h", end)]["status"] == "provisional"
    assert team("1h", end + PANE) not in first
    assert written(made, end + LATENESS - 1, NOON + MINUTE // 2)[team("1h", end + PANE)]["status"] == "provisional"
    assert made.stored[team("1h", end)]["status"] == "provisional"
    assert written(made, end + LATENESS, NOON + MINUTE // 2)[team("1h", end)]["status"] == "final"


def test_the_watermark_never_goes_back() -> None:
    made = shell(("panes", {HERE: {"requests": 1}}), watermark=NOON + 2 * HOUR)
    frames = list(made.engine.advance(NOON - DAY, NOON + 3 * HOUR, flush=True))
    finals = pl.concat(frames).filter(size="1h", grouping="tenant", status="final")
    assert len(finals) == 12
    assert set(finals["watermark"].cast(pl.Int64)) == {NOON + 2 * HOUR}


def test_a_window_that_holds_no_pane_of_its_group_is_not_written() -> None:
    made = shell(("panes", {HERE: {"requests": 1}}))
    written(made, NOON + 2 * HOUR, NOON + 2 * HOUR)
    ends = {key.end for key in made.stored if key.size == "1h"}
    assert ends == {NOON + i * PANE for i in range(1, 13)}
    assert {key.team for key in made.stored if key.grouping in {"team", "team_tool", "team_model", "team_class"}} == {
        "pay"
    }


def test_provisional_windows_wait_for_their_throttle() -> None:
    made = shell(("panes", {HERE: {"requests": 1}}))
    now = NOON + 2 * MINUTE
    assert {key.size for key in written(made, NOON, now)} == {"1h", "24h", "7d", "28d"}
    made.engine.apply_panes(pane_frame({HERE: {"requests": 2}}))
    seen = []
    for wait in (SECOND // 2, SECOND, MINUTE, HOUR):
        sizes = {key.size for key in written(made, NOON, now + wait)}
        seen.append((sizes, made.engine.waiting))
    assert seen == [(set(), True), ({"1h"}, True), ({"24h", "7d", "28d"}, False), (set(), False)]


def test_only_the_groups_whose_panes_changed_are_written_again() -> None:
    other = HERE._replace(team="ads", tool="ide")
    made = shell(("panes", {HERE: {"requests": 1}, other: {"requests": 1}}))
    written(made, NOON, NOON + MINUTE)
    made.engine.apply_panes(pane_frame({other: {"requests": 5}}))
    again = written(made, NOON, NOON + 3 * MINUTE)
    assert {key.team for key in again} == {"ads", ""}
    assert {key.tool for key in again} == {"ide", ""}


def test_revisions_wait_a_minute_and_hold_the_position_back() -> None:
    made = shell(("panes", {HERE: {"requests": 1}}))
    now = NOON + 2 * DAY
    written(made, NOON + 2 * DAY, now)
    for step, (requests, wait) in enumerate(((2, 0), (3, SECOND))):
        made.engine.apply_panes(pane_frame({HERE: {"requests": requests}}))
        assert made.engine.waiting
        rows = written(made, NOON + 2 * DAY, now + wait)
        assert (step == 0) == any(row["status"] == "final" for row in rows.values())
        assert made.engine.revisions_wait == (step == 1)
    row = written(made, NOON + 2 * DAY, now + MINUTE)[team("1h", NOON + PANE)]
    assert (row["requests"], row["revision"]) == (3, 2)
    assert not made.engine.revisions_wait


def test_the_position_can_be_committed_once_a_minute_however_late_updates_come() -> None:
    """Updates that are late for the shortest windows all the time, for the longer ones from half a minute later on."""
    made = shell(("panes", {HERE: {"requests": 1}}))
    now = NOON + 40 * DAY
    written(made, now, now)
    old, recent = HERE, HERE._replace(start=now - 2 * HOUR)
    commits = []
    for step in range(19):
        late = {recent: {"requests": 1 + step}} | ({old: {"requests": 2 + step}} if step >= 3 else {})
        made.log.append(("panes", late))
        made.consume(1)
        written(made, now, now + step * 10 * SECOND)
        commits.append(made.committed == made.next)
    assert [step for step, done in enumerate(commits) if done] == [0, 6, 12, 18]


def test_flush_overrides_the_throttles() -> None:
    made = shell(("panes", {HERE: {"requests": 1}}))
    written(made, NOON + 2 * DAY, NOON)
    for requests in (2, 3):
        made.engine.apply_panes(pane_frame({HERE: {"requests": requests}}))
        assert written(made, NOON + 2 * DAY, NOON, flush=True)[team("1h", NOON + PANE)]["requests"] == requests
        assert not made.engine.waiting


def test_a_replayed_update_writes_its_final_windows_again_without_a_revision() -> None:
    made = shell(("panes", {HERE: {"requests": 1}}))
    written(made, NOON + 2 * HOUR, NOON + 2 * HOUR)
    made.engine.apply_panes(pane_frame({HERE: {"requests": 1}}))
    row = written(made, NOON + 2 * HOUR, NOON + 4 * HOUR)[team("1h", NOON + PANE)]
    assert (row["status"], row["revision"]) == ("final", 0)


def test_a_final_window_that_late_data_fills_begins_at_revision_one() -> None:
    made = shell(("panes", {HERE: {"requests": 1}}), watermark=NOON + 2 * HOUR, now=NOON + 2 * HOUR)
    row = written(made, NOON + 2 * HOUR, NOON + 2 * HOUR)[team("1h", NOON + PANE)]
    assert (row["status"], row["revision"], row["backfill"]) == ("final", 1, 1)


@pytest.mark.parametrize(("lag", "backfill"), [(LATENESS, 0), (HOUR, 0), (HOUR + 1, 1)])
def test_backfill_marks_windows_first_written_an_hour_after_their_end(lag: int, backfill: int) -> None:
    made = shell(("panes", {HERE: {"requests": 1}}))
    end = NOON + HOUR
    assert written(made, end + LATENESS, end + lag)[team("1h", end)]["backfill"] == backfill


@pytest.mark.parametrize("restarts", [False, True])
def test_a_window_shown_in_time_stays_so_when_it_becomes_final_late(*, restarts: bool) -> None:
    made = shell(("panes", {HERE: {"requests": 1}}))
    written(made, NOON, NOON + MINUTE)
    if restarts:
        made.restart()
    rows = written(made, NOON + 3 * HOUR, NOON + DAY)
    assert rows[team("1h", NOON + PANE)]["backfill"] == 0
    assert rows[team("1h", NOON + 2 * PANE)]["backfill"] == 1


def test_usage_has_no_class_and_outcomes_share_the_row_of_their_group() -> None:
    made = shell(("panes", {HERE: {"requests": 2}}), ("items", {ITEM: [CREDIT]}), ("actors", {(HERE, 7)}))
    rows = written(made, NOON + 2 * HOUR, NOON + 2 * HOUR)
    end = NOON + PANE
    shared = rows[team("1h", end)]
    assert (shared["requests"], shared["items_completed"], shared["contributors"]) == (2, 1, 1)
    usage, core = rows[team("1h", end, "team_class")], rows[team("1h", end, "team_class", "core")]
    assert (usage["requests"], usage["items_completed"], usage["contributors"]) == (2, 0, 1)
    assert (core["requests"], core["items_completed"], core["contributors"]) == (0, 1, 1)
    made.expect()


def test_bookings_that_move_leave_zeros_behind() -> None:
    made = shell(("items", {ITEM: [CREDIT]}), ("panes", {HERE: {"requests": 1}}), ("actors", {(HERE, 7)}))
    written(made, NOON + 2 * DAY, NOON)
    moved = CREDIT._replace(at=NOON + 3 * HOUR)
    made.log.append(("items", {ITEM: [moved, CREDIT._replace(kind="moved", amounts=())]}))
    made.consume(1)
    rows = written(made, NOON + 2 * DAY, NOON + MINUTE)
    left = rows[team("1h", NOON + PANE, "team_class", "core")]
    assert (left["items_completed"], left["contributors"], left["revision"]) == (0, 0, 1)
    assert rows[team("1h", NOON + 3 * HOUR + PANE)]["value_credited_milli"] == 1000
    made.expect()


def test_a_moved_mark_alone_clears_what_another_process_wrote() -> None:
    made = shell(("items", {ITEM: [CREDIT]}))
    written(made, NOON + 2 * DAY, NOON)
    made.log.append(("items", {ITEM: [CREDIT._replace(at=NOON + 3 * HOUR), CREDIT._replace(kind="moved", amounts=())]}))
    made.ahead = 1
    made.restart()
    made.consume(1)
    written(made, NOON + 2 * DAY, NOON, flush=True)
    made.expect()


def test_an_older_update_that_comes_late_changes_nothing() -> None:
    moved = {ITEM: [CREDIT._replace(at=NOON + HOUR), CREDIT._replace(kind="moved", amounts=())]}
    other = (0, "acme", "PAY-2")
    made = shell(
        ("panes", {HERE: {"requests": 1}, HERE._replace(kpart=1): {"requests": 5}}),
        ("items", {ITEM: [CREDIT], other: [CREDIT]}),
        ("panes", {HERE: {"requests": 3}}),
        ("items", moved),
    )
    for watermark in (NOON + PANE, NOON + 2 * DAY):
        made.hear_again(3)
        made.hear_again(4)
        written(made, watermark, NOON, flush=True)
        assert made.stored[team("1h", NOON + PANE)]["requests"] == 8
        made.expect()


def test_an_older_update_clears_what_a_newer_state_has_left() -> None:
    """The mark of the panes that an item left is gone from the row that was stored after it."""
    made = shell(("items", {ITEM: [CREDIT]}))
    written(made, NOON + 2 * DAY, NOON)
    there = CREDIT._replace(at=NOON + 3 * HOUR)
    made.log += [("items", {ITEM: [there, CREDIT._replace(kind="moved", amounts=())]}), ("items", {ITEM: [there]})]
    made.ahead = 2
    made.restart()
    made.consume(2)
    written(made, NOON + 2 * DAY, NOON, flush=True)
    made.expect()


def test_repeated_bookings_touch_nothing_once_an_update_has_named_them() -> None:
    made = shell(("items", {ITEM: [CREDIT]}))
    written(made, NOON + 2 * DAY, NOON)
    made.restart()
    made.log.append(("items", {ITEM: [CREDIT]}))
    made.consume(1)
    assert made.engine.revisions_wait
    written(made, NOON + 2 * DAY, NOON, flush=True)
    later = CREDIT._replace(at=NOON + DAY, kind="debit", amounts=(("value_debited_milli", 1000),))
    made.log.append(("items", {ITEM: [CREDIT, later]}))
    made.consume(1)
    rows = written(made, NOON + 2 * DAY, NOON, flush=True)
    assert team("1h", NOON + PANE) not in rows
    assert rows[team("1h", NOON + DAY + PANE)]["value_debited_milli"] == 1000
    made.expect()


def test_a_new_actor_changes_the_windows_of_all_classes_of_the_team() -> None:
    made = shell(("panes", {HERE: {"requests": 1}}), ("items", {ITEM: [CREDIT]}), ("actors", {(HERE, 1)}))
    written(made, NOON + 2 * DAY, NOON)
    made.log.append(("actors", {(HERE, 2)}))
    made.consume(1)
    rows = written(made, NOON + 2 * DAY, NOON, flush=True)
    assert rows[team("1h", NOON + PANE, "team_class", "core")]["contributors"] == 2
    made.expect()


def test_usage_without_an_actor_has_no_contributor() -> None:
    nobody = 0xEF46DB3751D8E999
    made = shell(("panes", {HERE: {"requests": 1}}), ("actors", {(HERE, nobody), (HERE, 0)}))
    assert written(made, NOON, NOON + MINUTE)[team("1h", NOON + PANE)]["contributors"] == 1


def test_contributors_of_long_windows_count_each_person_once() -> None:
    shares = [HERE._replace(start=NOON + day * DAY, kpart=day % 3) for day in range(0, 60, 9)]
    made = shell(
        ("panes", {share: {"requests": 1} for share in shares}),
        ("actors", {(share, i % 2) for i, share in enumerate(shares)}),
    )
    written(made, NOON + 120 * DAY, NOON)
    made.expect()
    assert {row["contributors"] for key, row in made.stored.items() if key.size == "28d"} == {1, 2}


def test_shares_of_input_partitions_add_up_and_replace_only_themselves() -> None:
    there = HERE._replace(kpart=1)
    made = shell(("panes", {HERE: {"requests": 2}, there: {"requests": 3}}), ("panes", {there: {"requests": 4}}))
    assert written(made, NOON, NOON + MINUTE)[team("1h", NOON + PANE)]["requests"] == 6


def test_of_equal_pane_keys_in_one_update_the_last_one_counts() -> None:
    made = shell()
    made.engine.apply_panes(pl.concat([pane_frame({HERE: {"requests": 9}}), pane_frame({HERE: {"requests": 4}})]))
    assert written(made, NOON, NOON + MINUTE)[team("1h", NOON + PANE)]["requests"] == 4


def test_the_first_advance_after_a_load_writes_what_the_stored_watermark_lacks() -> None:
    panes = {HERE._replace(start=NOON + i * PANE): {"requests": i + 1} for i in range(40)}
    engine = WindowEngine(LATENESS, 0, lambda keys: pl.DataFrame(schema=WINDOW_SCHEMA), Shell().sums)
    engine.load(pane_frame(panes), booking_frame({}), actor_frame(set()), {}, watermark_us=NOON + HOUR + LATENESS)
    rows = pl.concat(list(engine.advance(NOON + 2 * HOUR + LATENESS, NOON + 3 * HOUR))).filter(
        size="1h", grouping="tenant"
    )
    final = rows.filter(status="final")["window_end"].cast(pl.Int64).to_list()
    assert final == [NOON + HOUR + i * PANE for i in range(1, 13)]
    shown = rows.filter(status="provisional")["window_end"].cast(pl.Int64).to_list()
    assert shown == [NOON + 2 * HOUR + PANE, NOON + 2 * HOUR + 2 * PANE, NOON + 2 * HOUR + 3 * PANE]


def test_without_updates_nothing_is_written() -> None:
    made = shell()
    assert not made.advance(NOON + 400 * DAY, NOON + 400 * DAY, flush=True)
    assert windows(made.truth(0)) == {}
