"""How far one topic of an input partition has been read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNSEEN: Final = -(1 << 62)
"""A watermark before any event."""

OFFSET_BITS: Final = 40
OFFSET_MASK: Final = (1 << OFFSET_BITS) - 1
"""Positions are incarnation << OFFSET_BITS | offset."""


@dataclass(slots=True)
class Input:
    """What has been read of one topic of the partition, in its present incarnation. `closed`: the next offsets at which former ones ended."""

    begin: int = 0
    next_offset: int = 0
    closed: tuple[int, ...] = ()
    watermark: int = UNSEEN
    applied: int = 0
    duplicates: int = 0
    dead: int = 0
    missing: int = 0

    @property
    def incarnation(self) -> int:
        """The number of the present life of the topic."""
        return len(self.closed)

    @property
    def position(self) -> int:
        """incarnation << 40 | next offset: what result rows cover; never goes back."""
        return self.incarnation << OFFSET_BITS | self.next_offset

    @property
    def ends(self) -> list[int]:
        """By incarnation: the offset below which records count."""
        return [*self.closed, self.next_offset]
