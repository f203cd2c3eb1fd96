"""Items and panes that leave the memory of a join while they are still needed, and are loaded again: room for few makes it happen all the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from streams.join import partition
from streams.join.idle import Idle, Key

LET_GO, CAME_BACK = "let go", "came back"
EVICTIONS: Final = (LET_GO, CAME_BACK)
"""As they are counted among the faults."""


@contextmanager
def room_for(most: int, counts: Counter[str]) -> Iterator[None]:
    """Within: a join partition keeps at most so many items, and as many panes, unless they are not stored yet."""

    class Counted(Idle):
        def __init__(self, usual: int) -> None:
            super().__init__(min(usual, most))
            self._gone: set[Key] = set()

        def touch(self, keys: Iterable[Key], watermark: int, cut: int) -> None:
            found = list(keys)
            if back := self._gone.intersection(found):
                counts[CAME_BACK] += len(back)
                self._gone -= back
            super().touch(found, watermark, cut)

        def take(self, before: int, stored: int) -> list[Key]:
            if taken := super().take(before, stored):
                counts[LET_GO] += len(taken)
                self._gone.update(taken)
            return taken

    changed: Any = partition
    changed.Idle = Counted
    try:
        yield
    finally:
        changed.Idle = Idle
