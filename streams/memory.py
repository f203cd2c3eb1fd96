"""How a worker's process holds memory: what it has once had for its batches it uses again, since taking fresh pages from the kernel for each
flush costs more than many a step of the join. And how many threads its libraries take: cores are for more workers.

To be called before NumPy, Polars and Arrow are imported. What a worker has taken at its peak it mostly keeps: bound the peak, not what follows it.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Parameters of glibc's mallopt(3)."""
_GLIBC: Final = ((_ARENA_MAX, 1), (_TRIM_THRESHOLD, 1 << 30), (_MMAP_MAX, 0))
"""One heap for all threads, and no mappings of their own for large arrays, which would be fresh pages for each batch."""
_ENVIRONMENT: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "NUMPY_MADVISE_HUGEPAGE": "0",  # a huge page is cleared whole, and most of our arrays have room that is never used
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1",  # the allocator of Polars
    "POLARS_MAX_THREADS": "1",  # frames of a batch are too small to be worth waking a second thread for
}


def keep_memory() -> None:
    """Let the allocators of this process keep what is freed, and Polars have one thread. What the environment says of them already stands."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # elsewhere than on glibc nothing is lost but time
        for parameter, amount in _GLIBC:
            mallopt(parameter, amount)
