"""Loops over arrays, compiled to machine code when they are first called and kept on disk beside their module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba  # type: ignore[import-untyped]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function in machine code, without the interpreter's lock: arrays and numbers only; a fault in it does not raise but corrupts."""
    made: F = numba.njit(cache=True, nogil=True)(function)
    return made
