"""What the traffic comes to, computed from its events."""

import polars as pl

from benchmarks.traffic import expected


def test_events_without_an_item_have_a_pane_and_no_line() -> None:
    events = pl.DataFrame(
        {
            "work_item_id": ["A-1", "A-1", None, "A-1", "B-1"],
            "team": ["a", "a", "a", "a", "b"],
            "tool": ["cli"] * 5,
            "model": ["m", "m", "m", "n", "m"],
            "pane": [1, 2, 2, 2, 2],
            "tokens": [1, 2, 4, 8, 16],
        }
    )
    assert expected(events) == {
        "records": 5, "tokens": 31, "lines": 3, "panes": 4, "line_tokens": 27, "pane_tokens": 31,
    }  # fmt: skip
