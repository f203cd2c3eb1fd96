"""Where the public data sets lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def data_file(name: str) -> Path:
    """A file of the data sets: under TOKENWORTH_TEST_DATA, else ../shared/data. CI must have it."""
    folder = Path(os.environ.get("TOKENWORTH_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
    path = folder / name
    if not path.is_file() and not os.environ.get("CI"):
        pytest.skip(f"{path} is absent: set TOKENWORTH_TEST_DATA to the folder of the data sets")
    return path
