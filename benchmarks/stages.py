"""Each stage of the worker alone, in process and without servers: CPU microseconds per usage event, and how that compares to a calibration loop.

`python -m benchmarks.stages [--json FILE]`. The machine is shared and its speed changes from minute to minute: the calibration loop runs
between the stages, and what is kept and compared (benchmarks/results/stages.json, tests/benchmarks/test_stages.py) is a ratio to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.inside import Clock, InsideWorker, calibration_s, fetch_of, slices
from benchmarks.traffic import make
from streams.agents.record_batch import RawRecords
from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.events.records import Records
from streams.local.traffic.records import records

EVENTS: Final = 100_000
RUNS: Final = 3
STORED: Final = Path(__file__).parent / "results" / "stages.json"
STAGES: Final = ("read", "decode", "apply", "cut", "rows", "windows")
_PER_FETCH, _PER_FLUSH = 20_000, 100_000
_NOW_US: Final = 1_900_000_000_000_000


def measure(events: int = EVENTS, runs: int = RUNS) -> dict[str, Any]:
    """`calibration_ms`; by stage and for `all`: `us` per usage event and `ratio` to a millionth of the calibration loop. The least of all runs."""
    topics: dict[str, list[bytes]] = {USAGE_TOPIC: [], ITEMS_TOPIC: []}
    for chunk in records(make(events), 1):
        for record in chunk:
            if record.value is not None:
                topics[record.topic].append(record.value)
    fetches = [fetch_of(values) for values in slices(topics[USAGE_TOPIC], _PER_FETCH)]
    _run(fetches[:1], topics[ITEMS_TOPIC][:100], Clock())  # the first call of a loop compiles or loads it
    calibration, found = [calibration_s()], []
    for _ in range(runs):
        clock = Clock()
        _run(fetches, topics[ITEMS_TOPIC], clock)
        found.append(clock.seconds)
        calibration.append(calibration_s())
    unit, count = min(calibration), len(topics[USAGE_TOPIC])
    least = {stage: min(run[stage] for run in found) for stage in STAGES}
    least["all"] = sum(least.values())
    stages = {
        name: {"us": round(1e6 * s / count, 3), "ratio": round(1e6 * s / count / unit, 2)} for name, s in least.items()
    }
    return {"events": count, "runs": runs, "calibration_ms": round(1e3 * unit, 2), "stages": stages}


def _run(fetches: list[bytes], items: list[bytes], clock: Clock) -> None:
    """All work items first, then the usage, flushed as a worker does that catches up."""
    worker = InsideWorker(clock)
    worker.items(items)
    for number, fetch in enumerate(fetches):
        found = clock.time("read", lambda data=fetch: list(_read(data)))  # type: ignore[misc]
        worker.usage(Records.joined(found))
        if worker.rows >= _PER_FLUSH or number == len(fetches) - 1:
            worker.windows(worker.flush(), _NOW_US)


def _read(data: bytes) -> Iterator[Records]:
    found = RawRecords(data)
    while found.has_next():
        batch = found.next_batch()
        assert batch.validate_crc()
        yield batch.read().records


def main(
    events: Annotated[int, typer.Option(help="usage events")] = EVENTS,
    runs: Annotated[int, typer.Option(help="the least of so many runs counts")] = RUNS,
    json_file: Annotated[Path | None, typer.Option("--json", help="where to write the result")] = None,
) -> None:
    """Each stage of the worker alone: CPU microseconds per usage event."""
    result = measure(events, runs)
    table = Table("stage", "us of CPU per event", "ratio to the calibration loop")
    for name, figures in result["stages"].items():
        table.add_row(name, f"{figures['us']:.3f}", f"{figures['ratio']:.1f}")
    Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
