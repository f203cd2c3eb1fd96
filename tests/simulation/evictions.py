"""Items and panes that leave the memory of a join while they are still needed, and are loaded again: room for few makes it happen all the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from streams.join import partition
from streams.join.partition import JoinPartition

LET_GO, CAME_BACK = "let go", "came back"
EVICTIONS: Final = (LET_GO, CAME_BACK)
"""As they are counted among the faults."""


@contextmanager
def room_for(most: int, counts: Counter[str]) -> Iterator[None]:
    """Within: a join partition keeps at most so many items, and as many panes, unless they are not stored yet."""
    settle, load = JoinPartition.settle, JoinPartition.load

    def held(state: JoinPartition) -> int:
        return state.size["items"] + state.size["panes"]

    def settled(state: JoinPartition, *args: Any) -> None:
        before = held(state)
        settle(state, *args)
        counts[LET_GO] += before - held(state)

    def loaded(state: JoinPartition, *args: Any) -> None:
        before = held(state)
        load(state, *args)
        counts[CAME_BACK] += held(state) - before

    bounds = {name: min(most, getattr(partition, name)) for name in ("MOST_ITEMS", "MOST_PANES")}
    with patch.multiple(partition, **bounds), patch.multiple(JoinPartition, settle=settled, load=loaded):
        yield
