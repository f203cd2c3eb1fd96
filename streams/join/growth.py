"""Arrays that grow by rows."""

from __future__ import annotations

from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MAPPED: Final = 1 << 20
"""Bytes from which an array is a mapping of its own: the kernel zeroes its pages when they are first written to, the allocator all at once."""


def grown(old: Array, used: int, room: int) -> Array:
    """The first `used` rows in an array with room for more, which are zeros and take memory only where they are written to.

    Raises MemoryError.
    """
    shape, size = (room, *old.shape[1:]), room * old.itemsize * int(np.prod(old.shape[1:]))
    if size < MAPPED:
        new = np.zeros(shape, old.dtype)
    else:
        try:
            pages = mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(f"no room for {size:,} bytes") from error
        new = np.frombuffer(pages, old.dtype).reshape(shape)
    new[:used] = old[:used]
    return new
