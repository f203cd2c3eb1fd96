"""The fuzzing targets for a few seconds each; `python -m tests.fuzz` runs them for as long as wanted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

SCRIPTS = st.binary(max_size=600) | st.integers(0, 2**32).map(lambda seed: random.Random(seed).randbytes(600))


@pytest.mark.parametrize("target", TARGETS)
@given(data=SCRIPTS)
@settings(max_examples=150, deadline=None)
def test_any_script(target: str, data: bytes) -> None:
    TARGETS[target](data)
