"""What has not been touched for a while: keys in the order of their last touch, so that finding the idle ones costs nothing for the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Key = tuple[Any, ...]


class Idle:
    """Keys of state in memory, each with the watermark (us) and the number of the cut at which it was last touched.

    Both stamps never go back from one call to the next.
    """

    def __init__(self, most: int) -> None:
        """`most`: keys to keep even when none of them is idle."""
        self._most = most
        self._touched: dict[Key, tuple[int, int]] = {}

    def touch(self, keys: Iterable[Key], watermark: int, cut: int) -> None:
        """Keys were read or changed; they are part of cut number `cut`."""
        touched, stamp = self._touched, (watermark, cut)
        for key in keys:
            touched.pop(key, None)
            touched[key] = stamp

    def take(self, before: int, stored: int) -> list[Key]:
        """Remove and return keys last touched before a watermark, and the oldest of too many; only what cut `stored` or an earlier one holds."""
        touched = self._touched
        taken: list[Key] = []
        excess = len(touched) - self._most
        for key, (watermark, cut) in touched.items():
            if cut > stored or (watermark >= before and len(taken) >= excess):
                break
            taken.append(key)
        for key in taken:
            del touched[key]
        return taken
