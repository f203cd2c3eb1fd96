"""The Numenta Anomaly Benchmark v1.1: 58 labelled series. The data lie outside the project and are never committed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.errors import ConfigError

FILES: Final = ("nab_data.csv.gz", "nab_meta.json.gz")
Floats = npt.NDArray[np.float64]

_PROBATION: Final = 0.15
_LONGEST_PROBATION: Final = 750


class Window(NamedTuple):
    """Rows around a labelled anomaly; both ends belong to it."""

    first: int
    last: int


@dataclass(frozen=True)
class Series:
    """One file of the corpus, in its order: a few stamps repeat, and one series goes back in time once."""

    name: str
    timestamps: list[str]
    at_us: list[int]
    values: list[float]
    windows: list[Window]

    @property
    def probation(self) -> int:
        """Leading rows in which nothing is scored: 15 %, at most 750."""
        return min(int(_PROBATION * len(self.values)), _LONGEST_PROBATION)


@dataclass(frozen=True)
class Profile:
    """What a detection in a window, a false positive and a missed window weigh."""

    name: str
    hit: float
    false_positive: float
    miss: float


@dataclass(frozen=True)
class Corpus:
    """All series, the scoring profiles, and the final scores that the benchmark's authors publish: {detector: {profile: score}}."""

    series: list[Series]
    profiles: list[Profile]
    published: Mapping[str, Mapping[str, float]]


def load(folder: Path) -> Corpus:
    """Read the corpus. Raises ConfigError if a file is absent."""
    for name in FILES:
        if not (folder / name).is_file():
            raise ConfigError("--nab", f"has no {name}", remedy="name the folder that holds the corpus")
    meta = json.loads(gzip.decompress((folder / FILES[1]).read_bytes()))
    rows = pl.read_csv(gzip.decompress((folder / FILES[0]).read_bytes()), schema_overrides={"value": pl.Float64})
    series = []
    for frame in rows.partition_by("series", maintain_order=True):
        name, timestamps = str(frame["series"][0]), frame["timestamp"].to_list()
        windows = [
            Window(timestamps.index(first[:19]), timestamps.index(last[:19])) for first, last in meta["windows"][name]
        ]
        at_us = [int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()) * 1_000_000 for at in timestamps]
        series.append(Series(name, timestamps, at_us, frame["value"].to_list(), windows))
    profiles = [
        Profile(name, costs["tpWeight"], costs["fpWeight"], costs["fnWeight"])
        for name, costs in ((name, profile["CostMatrix"]) for name, profile in meta["profiles"].items())
    ]
    return Corpus(series, profiles, meta["final_results"])
