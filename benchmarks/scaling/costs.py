"""Unit costs, each from a stored result, and what is assumed because this machine cannot tell it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.growth.amounts import ONE_INSERT
from benchmarks.growth.grouping import PER_TEAM, RATE

RESULTS: Final = Path(__file__).parents[1] / "results"
JOIN_STAGES: Final = ("read", "decode", "apply", "cut", "rows")
FEWEST_ROWS: Final = 0.05
"""Rows per event below which a table's cost a row is not taken from its own inserts, which had hardly a row: usage_events stands in for it."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """What is not measured. A tenant: TEAMS teams of PEOPLE that make EVENTS_PER_S together, at every second of the day."""

    events_per_s: int = RATE
    teams: int = 1_000
    people: int = 10
    horizon_days: int = 7
    busy: float = 0.5
    """Share of a core that is planned with: the rest catches up after a failure."""
    worker_memory_gb: int = 64
    server_cores: int = 16
    server_disk_tb: int = 8
    replicas: int = 3
    """Copies of a record in Kafka."""
    flush_interval_s: float = 1.0
    network_gbit: int = 10

    @property
    def series(self) -> int:
        """Team, tool and model."""
        return self.teams * PER_TEAM


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds of CPU (`_us`), bytes, and rows per event; of windows what one tenant of Assumed needs (`windows_`, `told_`)."""

    worker_us: float
    overhead: float
    """What the whole worker takes, as a multiple of its stages alone: the event loop, fetching, inserting, packing, garbage."""
    join_us: float
    windows_cores: float
    windows_per_s: float
    told_per_s: float
    told_bytes: float
    alert_cores: float
    identity_bytes: float
    line_bytes: float
    pane_row_bytes: float
    actor_row_bytes: float
    insert_us: float
    take_over_us: float
    latency_p99_s: float
    of: Mapping[str, Mapping[str, float]]
    """By topic, table or what is in memory: rows, stored_rows, bytes, insert_bytes, server_us, as `bytes` of benchmarks.growth has them."""

    def server_us(self, table: str) -> float:
        """CPU of ClickHouse for an inserted row."""
        found = self.of[table]
        return found["server_us"] if found["rows"] >= FEWEST_ROWS else self.of["usage_events"]["server_us"]


def load(assumed: Assumed, results: Path = RESULTS) -> Costs:
    """Costs from quick.json, stages.json, growth.json and latency.json. Times of growth.json are brought to the speed at which stages.json was made."""
    quick, stages, growth, latency = (
        json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("quick", "stages", "growth", "latency")
    )
    curves, unit_ms = growth["curves"], stages["calibration_ms"]
    us = {name: figures["us"] for name, figures in stages["stages"].items()}
    worker_us = 1e6 / quick["worker"]["events_per_cpu_s"]
    overhead = worker_us / us["all"]
    groups = [_at_speed(point, unit_ms) for point in curves["groups"]["points"]]

    def of_groups(name: str) -> float:
        return between([point["x"] for point in groups], [point[name] for point in groups], assumed.series)

    amounts = {point["x"]: _at_speed(point, unit_ms) for point in curves["bytes"]["points"]}
    told, final = of_groups("told_per_end") * _ends_per_s(), (assumed.teams + 1) * _ends_per_s()
    return Costs(
        worker_us=worker_us,
        overhead=overhead,
        join_us=overhead * sum(us[stage] for stage in JOIN_STAGES),
        windows_cores=overhead * of_groups("cores"),
        windows_per_s=of_groups("windows_per_s"),
        told_per_s=told,
        told_bytes=groups[-1]["told_bytes"],
        alert_cores=overhead * (told * groups[-1]["unpack_us"] + final * groups[-1]["alert_us"]) / 1e6,
        identity_bytes=curves["horizon"]["points"][-1]["id_bytes"],
        line_bytes=curves["items"]["points"][-1]["line_bytes"],
        pane_row_bytes=groups[-1]["pane_row_bytes"],
        actor_row_bytes=groups[-1]["actor_row_bytes"],
        insert_us=amounts[ONE_INSERT]["server_us"],
        take_over_us=_at_speed(curves["recovery"]["points"][-1], unit_ms)["us"],
        latency_p99_s=max(run["p99_s"] for run in latency["latency"] if not run["settings"]),
        of=amounts,
    )


def _ends_per_s() -> float:
    """Windows of a group that end in a second, of every size that an alert rule reads."""
    return 1 / 300 + 1 / 3600 + 1 / 21600


def _at_speed(point: dict[str, Any], unit_ms: float) -> dict[str, Any]:
    """A point whose CPU times are those of a machine on which the calibration loop takes `unit_ms`."""
    factor = unit_ms / point["calibration_ms"]
    timed = {name: value * factor for name, value in point.items() if name in ("us", "cores") or name.endswith("_us")}
    return {**point, **timed}


def between(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """y at x, on the straight lines through the logarithms of the points; beyond the last one as between the last two."""
    at, places, values = np.log(x), np.log(np.asarray(xs, float)), np.log(np.asarray(ys, float))
    if at <= places[-1]:
        return float(np.exp(np.interp(at, places, values)))
    slope = (values[-1] - values[-2]) / (places[-1] - places[-2])
    return float(np.exp(values[-1] + slope * (at - places[-1])))
