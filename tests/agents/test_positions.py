"""Where a partition goes on: every row of the table in streams/agents/positions.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streams.agents.positions import Log, Start, start
from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.errors import LogLost
from streams.join.flush import EPOCH_SHIFT
from streams.join.input import OFFSET_BITS
from streams.store.positions import LIVES, Incarnation, Mirror

LIFE = Incarnation(3, 0, "id-u", "id-i", LIVES, LIVES, 1, "first read")


def mirror(usage: int, items: int, incarnation: int = 0) -> Mirror:
    values: dict[str, Any] = dict.fromkeys(Mirror.__slots__, 0)
    place = incarnation << OFFSET_BITS
    return Mirror(**values | {"incarnation": incarnation, "usage_next": place | usage, "items_next": place | items})


def begin(
    committed: tuple[int | None, int | None] = (70, 7),
    *,
    mirrored: Mirror | None = None,
    lives: tuple[Incarnation, ...] = (LIFE,),
    log_begin: int = 0,
    log_end: int = 100,
    ids: tuple[str, str] = ("id-u", "id-i"),
    **options: Any,
) -> Start:
    logs = {
        topic: Log(position, log_begin, log_end, topic_id)
        for topic, position, topic_id in zip((USAGE_TOPIC, ITEMS_TOPIC), committed, ids, strict=True)
    }
    return start(3, logs, mirrored, lives, epoch=9, **options)


def test_the_position_of_the_group_is_where_it_goes_on() -> None:
    found = begin(mirrored=mirror(70, 7))
    assert (found.offsets, found.lives, found.opened) == ({USAGE_TOPIC: 70, ITEMS_TOPIC: 7}, [LIFE], False)


def test_the_lower_of_group_and_mirror_counts() -> None:
    assert begin(mirrored=mirror(80, 5)).offsets == {USAGE_TOPIC: 70, ITEMS_TOPIC: 5}


def test_a_partition_that_nobody_read_begins_its_first_life_at_the_begin_of_the_log() -> None:
    found = begin((None, None), lives=(), log_begin=4)
    assert found.offsets == {USAGE_TOPIC: 4, ITEMS_TOPIC: 4}
    assert (found.opened, found.lives) == (True, [replace(LIFE, epoch=9)])


def test_a_store_restored_to_before_the_first_flush_is_filled_from_the_begin_of_the_log() -> None:
    assert begin().offsets == {USAGE_TOPIC: 0, ITEMS_TOPIC: 0}


@pytest.mark.parametrize("ids", [("new", "id-i"), ("id-u", "new"), ("new", "new")])
def test_a_topic_with_another_id_opens_an_incarnation_that_closes_the_old_one_at_the_mirror(
    ids: tuple[str, str],
) -> None:
    found = begin((None, 7), mirrored=mirror(60, 6), ids=ids, log_begin=2)
    assert (found.offsets, found.opened) == ({USAGE_TOPIC: 2, ITEMS_TOPIC: 2}, True)
    old, new = found.lives
    assert (old.usage_end, old.items_end) == (60, 6)
    assert (new.incarnation, new.epoch, new.usage_topic_id, new.items_topic_id) == (1, 9, *ids)
    assert "created anew" in new.reason
    assert (found.closed(USAGE_TOPIC), found.closed(ITEMS_TOPIC)) == ((60,), (6,))


def test_a_broker_without_topic_ids_opens_none() -> None:
    assert not begin(mirrored=mirror(70, 7), ids=("", "")).opened
    assert not begin(mirrored=mirror(70, 7), lives=(replace(LIFE, usage_topic_id="", items_topic_id=""),)).opened


def test_lost_positions_of_the_group_open_an_incarnation() -> None:
    found = begin((None, None), mirrored=mirror(60, 6))
    assert (found.opened, found.lives[1].reason) == (True, f"the group lost its position in {USAGE_TOPIC}")


@pytest.mark.parametrize(("committed", "ids"), [((None, None), ("id-u", "id-i")), ((70, None), ("id-u", "new"))])
def test_a_new_incarnation_hides_no_loss_in_a_topic_that_is_still_the_same(
    committed: tuple[int | None, int | None], ids: tuple[str, str]
) -> None:
    with pytest.raises(LogLost, match=r"usage-events\[3\]: the log begins at 75, 5 records after the position 70"):
        begin(committed, mirrored=mirror(70, 7), ids=ids, log_begin=75)
    found = begin(committed, mirrored=mirror(70, 7), ids=ids, log_begin=75, accept_loss=True)
    assert (found.opened, found.offsets[USAGE_TOPIC], found.lives[0].usage_end) == (True, 75, 70)


def test_an_incarnation_that_began_but_was_never_flushed_goes_on() -> None:
    lives = (replace(LIFE, usage_end=60, items_end=6), replace(LIFE, incarnation=1, epoch=5))
    found = begin((None, None), mirrored=mirror(60, 6), lives=lives)
    assert (found.opened, found.lives, found.offsets) == (False, list(lives), {USAGE_TOPIC: 0, ITEMS_TOPIC: 0})
    assert lives[1].trusted_since == 5 << EPOCH_SHIFT
    assert lives[0].trusted_since == 0


def test_records_deleted_before_they_were_read_stop_the_worker_unless_accepted() -> None:
    with pytest.raises(LogLost, match=r"usage-events\[3\]: the log begins at 75, 5 records after the position 70"):
        begin((70, 90), mirrored=mirror(70, 90), log_begin=75)
    found = begin((70, 90), mirrored=mirror(70, 90), log_begin=75, accept_loss=True)
    assert (found.offsets, found.opened) == ({USAGE_TOPIC: 75, ITEMS_TOPIC: 90}, False)
    assert found.rebuilds, "raw rows of an uncommitted flush may lie in the gap"
    assert not begin((75, 90), mirrored=mirror(75, 90), log_begin=75).rebuilds


def test_a_store_restored_to_the_middle_of_its_first_flush_is_rebuilt_if_the_log_begins_later() -> None:
    assert begin((5, 5), log_begin=5).rebuilds
    assert not begin((5, 5)).rebuilds


def test_a_log_that_ends_before_the_position_stops_the_worker_or_opens_an_incarnation() -> None:
    with pytest.raises(LogLost, match="ends at 50, before the position 70"):
        begin(mirrored=mirror(70, 7), log_end=50)
    found = begin(mirrored=mirror(70, 7), log_end=50, accept_loss=True)
    assert (found.opened, found.offsets, found.lives[0].usage_end) == (True, {USAGE_TOPIC: 0, ITEMS_TOPIC: 0}, 70)
