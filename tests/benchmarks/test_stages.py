"""The hot path does not become slower unnoticed: CPU per event against a calibration loop of the same run, compared with the stored ratio."""

from __future__ import annotations

import json
from typing import Final

from benchmarks.stages import STAGES, STORED, measure

SLOWER: Final = 1.5
"""The machine is shared and its caches are, too: the same code was seen at up to 1.25 times its own ratio while other tests ran beside it."""


def test_no_stage_is_much_slower_than_stored() -> None:
    stored, now = json.loads(STORED.read_text(encoding="utf-8"))["stages"], measure(events=100_000, runs=3)["stages"]
    assert {*stored} == {*STAGES, "all"}
    found = {name: round(now[name]["ratio"] / stored[name]["ratio"], 2) for name in stored}
    # A single stage is short, so that what else the machine does shows more.
    assert found["all"] < SLOWER, f"times slower than benchmarks/results/stages.json, by stage: {found}"
