"""How often a worker flushes."""

from __future__ import annotations

import pytest

from streams.agents.join import FULL_FLUSH_S, flush_interval_s
from streams.config import Settings


@pytest.mark.parametrize(
    ("interval_s", "lag", "expected_s"),
    [
        (0.2, 0, 0.2),
        (1.0, 250_000, 1.0),
        (0.2, 250_001, FULL_FLUSH_S),
        (60.0, 10**9, 60.0),
    ],
)
def test_a_flush_waits_to_be_full_only_while_more_than_it_holds_waits_at_the_broker(
    interval_s: float, lag: int, expected_s: float
) -> None:
    assert flush_interval_s(Settings(flush_interval_s=interval_s, flush_max_rows=250_000), lag) == expected_s
