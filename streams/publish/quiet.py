"""Clients' logs, held back where one clear error is raised in their place."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Inside, the named logger says nothing below CRITICAL."""
    noise = logging.getLogger(logger)
    level = noise.level
    noise.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        noise.setLevel(level)
