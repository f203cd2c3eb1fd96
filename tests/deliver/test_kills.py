"""A real alert worker is killed at many moments: nothing is untold, and nothing shows as two."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deliver.kills.receivers import Told
from tests.deliver.kills.run import Options, ends, judged, run


@pytest.mark.timeout(240)
def test_each_episode_is_told_in_order_and_shows_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(Options(seed=1, killing_s=30.0), tmp_path)
    with capsys.disabled():
        print(f"\n{found}")
    assert found.problems == []
    assert found.episodes >= 6
    assert found.kills.total() >= 3


def test_a_seed_draws_the_same_kills_again() -> None:
    assert ends(Options(5, 30)) == ends(Options(5, 30)) != ends(Options(6, 30))


FIRING, RESOLVED = Told("a", 1, "firing", "x"), Told("a", 1, "resolved", "y")


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ([FIRING, FIRING, RESOLVED, RESOLVED], 0),
        ([FIRING], 1),
        ([RESOLVED, FIRING], 1),
        ([FIRING, RESOLVED, FIRING], 1),
        ([FIRING, Told("a", 1, "firing", "z"), RESOLVED], 1),
        ([FIRING, RESOLVED, Told("b", 1, "firing", "x")], 1),
    ],
)
def test_a_receiver_that_was_told_wrong_is_noticed(told: list[Told], wrong: int) -> None:
    assert (len(judged(told, [("a", 1)])) > 0) == bool(wrong)
