"""Curves on the embedded ClickHouse: how long a take-over lasts against what is stored, and how long the analysts' queries take.

The rows are made inside the engine, into the tables that the migrations make.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks import take_over
from benchmarks.growth.curve import Point, Scale, decades
from benchmarks.growth.history import QUERIES, Company, fill
from streams.local.stack import Stack
from streams.store.client import connect, ensure_database
from streams.store.migrations import migrate

LINES_PER_ID: Final = 0.1
RAW_ROWS: Final = {"full": (10**6, 10**7, 10**8), "quick": (10**5, 10**6)}
DAYS: Final = 90
AGED_ROWS: Final = {"full": (10**5, 10**6, 10**7), "quick": (10**5, 10**6)}
TEAMS: Final = 5
RUNS: Final = 5
MOST_MS: Final = 20_000
"""A query that has taken so long is not run again."""
MEMORY_MB: Final = 6_000
LEAST_FREE: Final = 25 << 30
"""Bytes that must be free on the disk before rows beyond 10^7 are made: 10^8 take 10 GB, and merging needs room for as much again."""


def recovery(scale: Scale) -> Iterator[Point]:
    """x identities within the horizon and a tenth as many ledger lines in one stored partition, which a worker takes over."""
    with _clickhouse() as (url, _):
        _taken_over(url, 100)  # the first call of a loop compiles or loads it
        for x in decades(4, 7, scale):
            found = _taken_over(url, x)
            yield {
                "x": x,
                "us": 1e6 * found["take_over_cpu_s"] / x,
                "take_over_s": found["take_over_s"],
                "first_batch_s": found["first_batch_look_up_s"] + found["first_batch_apply_s"],
                "grown_mib": found["grown_mib"],
            }


def _taken_over(url: str, identities: int) -> dict[str, float]:
    with _database(f"{url}_{identities}") as client:
        return take_over.measure(client, max(round(identities * LINES_PER_ID), 40), identities)


def queries(scale: Scale) -> Iterator[Point]:
    """x raw rows of 90 days, and the results that a company with so many has; the median of some runs of each query."""
    yield from _asked({x: Company.of(x, days=DAYS) for x in RAW_ROWS.get(scale.name, (10**3, 10**4))})


def age(scale: Scale) -> Iterator[Point]:
    """The same of TEAMS teams that have made x raw rows since they began."""
    yield from _asked({x: Company.of(x, teams=TEAMS) for x in AGED_ROWS.get(scale.name, (10**3, 10**4))})


def _asked(companies: Mapping[int, Company]) -> Iterator[Point]:
    with _clickhouse() as (url, directory):
        for x, company in companies.items():
            if x > 10**7 and (free := shutil.disk_usage(directory).free) < LEAST_FREE:
                raise OSError(f"{free >> 30} GB of disk are free, {x:,} rows want {LEAST_FREE >> 30}")
            with _database(f"{url}_{x}") as client:
                began = time.monotonic()
                stored = fill(client, x, company)
                filled = time.monotonic() - began
                yield {
                    "x": x,
                    **{f"{name}_ms": _median_ms(client, sql) for name, sql in QUERIES.items()},
                    "result_rows": stored,
                    "teams": company.teams,
                    "days": company.days,
                    "filling_s": filled,
                }


def _median_ms(client: Any, sql: str) -> float | None:
    """Milliseconds from asking to having all rows; None: ClickHouse refused, for lack of memory or time."""
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        try:
            client.query(sql, settings={"max_execution_time": 60})
        except Exception:  # noqa: BLE001 - whatever it is, the other queries still count
            return None
        took.append(1e3 * (time.perf_counter() - began))
        if sum(took) > MOST_MS:
            break
    return median(took)


@contextmanager
def _clickhouse() -> Iterator[tuple[str, Path]]:
    """URL of a database of an embedded ClickHouse, and where its data lies."""
    with (
        tempfile.TemporaryDirectory(prefix="tokenworth-growth-") as directory,
        Stack(Path(directory), "tansu", clickhouse_memory_mb=MEMORY_MB) as stack,
    ):
        yield stack.clickhouse, Path(directory)


@contextmanager
def _database(url: str) -> Iterator[Any]:
    """A client of a database with all tables and views, which is gone afterwards."""
    ensure_database(url)
    with closing(connect(url, send_receive_timeout=900)) as client:
        migrate(client)
        yield client
        client.command(f"DROP DATABASE {url.rpartition('/')[2]}")
