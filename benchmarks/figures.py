"""What a measured process says and what that comes to. Pure: no process is started here.

A system writes one JSON object a line. Progress: {"records": n}, the first one at the first record, then at least every 2 %, the last one when
the last record is applied. Then its result: records, tokens, lines, panes, line_tokens, pane_tokens, as far as it computes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Final

from streams.errors import TokenworthError

RESULT: Final = ("records", "tokens", "lines", "panes", "line_tokens", "pane_tokens")
MEASURES: Final = ("events_per_cpu_s", "warm_events_per_cpu_s", "events_per_s", "rss_mb", "cpu_s_whole")

Expected = Mapping[str, int]
"""What the traffic comes to, by the names of RESULT."""


class Refused(TokenworthError):
    """A system whose figures are not shown: its results are wrong, or it did not finish."""


@dataclass(frozen=True, slots=True)
class Sample:
    """When a process had applied so many records: wall and CPU seconds since any fixed moment."""

    records: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. Rates count from the first record to the last; `warm`: the second half alone.

    `rss_mb`: the peak, in units of 10^6 bytes. `cpu_s_whole`: CPU seconds of everything from the start of the process on, start-up included.
    `steps`: of a worker, CPU us per record by step; together with REST all of it.
    """

    events_per_cpu_s: float
    warm_events_per_cpu_s: float
    events_per_s: float
    rss_mb: float
    cpu_s_whole: float
    steps: Mapping[str, float] = field(default_factory=dict)


REST: Final = "fetching, event loop, libraries' threads"


def read_line(line: str) -> dict[str, int] | None:
    """The counts of a line; None for what is no object of counts, such as a library's log line."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or not all(type(value) is int for value in found.values()):
        return None
    return found if "records" in found else None


def figures(samples: Sequence[Sample], rss_bytes: int) -> Figures:
    """What the samples of one run come to. Raises Refused when they are too few or go backwards."""
    if len(samples) < 2 or any(b.records < a.records for a, b in pairwise(samples)):
        raise Refused(f"{len(samples)} progress lines do not tell a rate")
    first, last = samples[0], samples[-1]
    half = next(sample for sample in samples if sample.records * 2 >= last.records)
    warm = _rate(half, last, cpu=True) if half is not last else 0.0
    return Figures(_rate(first, last, cpu=True), warm, _rate(first, last, cpu=False), rss_bytes / 1e6, last.cpu_s)


def with_steps(found: Figures, records: int, cpu_s: Mapping[str, float]) -> Figures:
    """The same with CPU seconds of steps as what they took of each of so many records."""
    each = {step: 1e6 * seconds / records for step, seconds in cpu_s.items()}
    return replace(found, steps=each | {REST: 1e6 / found.events_per_cpu_s - sum(each.values())})


def _rate(first: Sample, last: Sample, *, cpu: bool) -> float:
    seconds = last.cpu_s - first.cpu_s if cpu else last.wall_s - first.wall_s
    return (last.records - first.records) / max(seconds, 1e-3)


def check(name: str, said: Mapping[str, int], expected: Expected, *, least: Sequence[str] = RESULT) -> None:
    """Raises Refused unless everything in `least` was said and nothing that was said differs from what the traffic comes to."""
    missing = [key for key in least if key not in said]
    wrong = [
        f"{key} {said[key]:,} instead of {expected[key]:,}"
        for key in RESULT
        if key in said and said[key] != expected[key]
    ]
    if missing or wrong:
        raise Refused(f"{name} is wrong: {'; '.join(wrong + [f'no {key}' for key in missing])}")


def summary(runs: Sequence[Figures], **facts: str | int) -> dict[str, object]:
    """Medians as plain numbers, the runs beside them: {"events_per_s": x, ..., "runs": {"events_per_s": [...]}}, and the facts."""
    by_measure = {name: [round(getattr(run, name), 1) for run in runs] for name in MEASURES}
    steps = {step: round(median(run.steps.get(step, 0.0) for run in runs), 4) for step in runs[0].steps}
    medians = {name: median(values) for name, values in by_measure.items()}
    return {**medians, **facts, **({"steps": steps} if steps else {}), "runs": by_measure}
