"""Loops over arrays, compiled to machine code when they are first called and kept on disk for the next process."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.extending
import numpy as np
import numpy.typing as npt
from llvmlite import ir

F = TypeVar("F", bound=Callable[..., Any])
Array = npt.NDArray[Any]
Number = Any
"""A number within a loop, whose type the compiler finds out: np.uint64 does not mix with int."""


def _cache() -> Path | None:
    """A directory for the machine code of exactly these sources: numba itself would miss a change in a loop that another file calls."""
    sources = blake2b(digest_size=8)
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        if b"compiled import" in (text := file.read_bytes()) or file == Path(__file__):
            sources.update(text)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - Path.home() raises where there is none
    path = Path(home, "tokenworth", f"loops-{sources.hexdigest()}")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return path if os.access(path, os.W_OK) else None


_CACHE = _cache()
if _CACHE is not None:
    config: Any = numba.config
    config.CACHE_DIR = str(_CACHE)


def compiled(function: F) -> F:
    """The function in machine code, without the interpreter's lock: arrays and numbers only; a fault in it does not raise but corrupts.

    It cannot make arrays: the caller brings them. So nothing in it counts references, which takes an atomic operation for each view and each
    call with an array: three quarters of the time of some loops (docs/decisions/0014). `_nrt` is an option of numba that its own tests
    use and its manual leaves out; a loop that makes an array does not compile with it.
    """
    return _compiled(function)


def inlined(function: F) -> F:
    """Likewise, a step that loops take for each row: its code stands in the loop, where a call would hand over each array in nine words on the stack.
    Reading Avro takes 0.4 of the time with it (docs/decisions/0008); short steps the compiler puts there by itself."""
    return _compiled(function, forceinline=True)


def _compiled(function: F, **options: bool) -> F:
    numba_njit: Any = numba.njit
    shared = {"cache": _CACHE is not None, "nogil": True, "error_model": "numpy", "_nrt": False}
    return cast("F", numba_njit(**shared, **options)(function))


def _fetch(_: Any, rows: Any, row: Any) -> Any:
    """Within a loop: ask the processor for the place where a row (np.uint64) of an array begins, which is read some steps later. So a table that is
    larger than the caches costs one wait for many rows instead of one for each. Nothing is read: the place may lie outside."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array: Any = context.make_array(signature.args[0])(context, builder, values[0])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        offset = builder.mul(builder.extract_value(array.strides, 0), values[1])
        at = builder.inttoptr(builder.add(builder.ptrtoint(array.data, offset.type), offset), byte)
        called = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], called)
        builder.call(prefetch, [at, number(0), number(3), number(1)])  # to read, into all caches, data
        return context.get_dummy_value()

    return numba.types.none(rows, numba.types.uint64), code


fetch: Callable[[Array, Number], None] = cast("Any", numba.extending.intrinsic(_fetch))


def given(array: Array) -> Array:
    """An array as loops take their input: contiguous and not to be written, so that there is one machine code for all."""
    if array.flags.c_contiguous and not array.flags.writeable:
        return array
    seen = np.ascontiguousarray(array).view()
    seen.flags.writeable = False
    return seen
