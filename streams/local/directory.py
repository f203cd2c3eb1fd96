"""One process tree at a time in a data directory."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.errors import SetupError


@contextmanager
def locked_directory(path: Path, *, patience_s: float = 0.0) -> Iterator[Path]:
    """Create `path` where it is missing and hold its lock. Raises SetupError when it is not writable or another process holds it.

    Waits up to `patience_s` for a holder that may be about to end.

    The lock ends with the process, however that ends; the file stays and names the last holder.
    """
    lock = path / "lock"
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SetupError(
            f"data_dir {path}: {error.strerror}",
            remedy="choose a directory that you may write: --data-dir DIR or TOKENWORTH_DATA_DIR",
        ) from error
    try:
        deadline = time.monotonic() + patience_s
        while not _lock(descriptor):
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 20, 0).decode().strip()
                raise SetupError(
                    f"data_dir {path}: in use by process {holder or '(unknown)'}",
                    remedy="stop that process, or choose another directory: --data-dir DIR or TOKENWORTH_DATA_DIR",
                )
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield path
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
