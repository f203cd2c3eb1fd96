"""Which keys the store may hold although memory does not: a Bloom filter of fixed size.

However many keys it takes, its memory stays the same; with more keys it says "maybe" more often, which costs look-ups and never a result.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

BITS: Final = 25
"""4 MiB: of keys that were never added 1 in 10,000 is a maybe after a million keys, 1 in 4 after ten millions."""
PROBES: Final = 4


class KeyFilter:
    """A set of 64-bit hashes that forgets none but may take others for its own."""

    def __init__(self) -> None:
        self._bytes = np.zeros(0, np.uint8)

    @property
    def empty(self) -> bool:
        """Whether nothing was ever added; then it takes no memory."""
        return not len(self._bytes)

    def add(self, hashes: Hashes) -> None:
        """Add keys by their hashes."""
        if len(hashes):
            if self.empty:
                self._bytes = np.zeros((1 << BITS) // 8, np.uint8)
            bits = _bits(hashes)
            np.bitwise_or.at(self._bytes, bits >> np.uint64(3), np.uint8(1) << (bits & np.uint64(7)).astype(np.uint8))

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """False: never added."""
        if self.empty or not len(hashes):
            return np.zeros(len(hashes), np.bool_)
        bits = _bits(hashes)
        found: npt.NDArray[np.bool_] = (
            (self._bytes[bits >> np.uint64(3)] >> (bits & np.uint64(7)).astype(np.uint8)) & np.uint8(1)
        ).all(axis=0)
        return found


def _bits(hashes: Hashes) -> npt.NDArray[Any]:
    """The bits of each hash, shape (PROBES, hashes)."""
    step = (hashes >> np.uint64(32)) | np.uint64(1)
    probes = np.arange(PROBES, dtype=np.uint64)[:, None]
    return (hashes + probes * step) & np.uint64((1 << BITS) - 1)
