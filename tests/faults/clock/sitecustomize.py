"""First on a worker's PYTHONPATH: shifts what `time.time` says in that process by the seconds in the file that TEST_CLOCK names."""

import mmap
import os
import struct
import time
from pathlib import Path


def shift(path: Path) -> None:
    """Read the shift, a double, at every call: writing to the file makes the clock jump. Monotonic time runs on, as on a real machine."""
    with path.open("rb") as file:
        seconds = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + struct.unpack_from("d", seconds)[0]
    time.time_ns = lambda: real_ns() + int(struct.unpack_from("d", seconds)[0] * 1e9)


if "TEST_CLOCK" in os.environ:
    shift(Path(os.environ["TEST_CLOCK"]))
