"""What a run came to, as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from statistics import median

import psutil  # type: ignore[import-untyped]

from streams.local.broker import KAFKA_VERSION
from tests.faults.run import Outcome

SPANS = 12
"""Rows of the tables over time."""


def report(found: Outcome) -> str:
    """The whole page."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Outcome) -> Iterator[str]:
    options = found.options
    yield "# Run under real faults"
    yield ""
    asked = f"`--seed {options.seed} --minutes {options.minutes:g} --faults {options.faults} --events {options.events}`"
    flags = (" `--stall-clickhouse`" if options.stall_clickhouse else "", "" if options.verify else " `--no-verify`")
    yield asked + "".join(flags)
    yield ""
    yield _machine()
    yield ""
    yield "**" + ("No difference." if not found.problems else f"{len(found.problems)} problems.") + "**"
    yield from (f"- {problem}" for problem in found.problems)
    yield ""
    yield from _table(("figure", "value"), _figures(found))
    yield ""
    yield from _table(("fault", "times"), sorted(found.faults.items()))
    yield ""
    if found.missed:
        yield f"Healed before they had struck: {dict(found.missed)}."
        yield ""
    yield "Workers that ended by themselves and were started again, as a supervisor does:"
    yield ""
    yield from ([f"- {line}" for line in found.ended] or ["none."])
    yield ""
    yield "Peak resident memory of each worker (MB), and records waiting in Kafka:"
    yield ""
    yield from _over_time(found)


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gb = psutil.virtual_memory().total / (1 << 30)
    packages = ", ".join(f"{name} {version(name)}" for name in ("faust-streaming", "aiokafka", "chdb", "polars"))
    return f"{cores} cores, {memory_gb:.0f} GB, {platform.system()}, Python {platform.python_version()}, Apache Kafka {KAFKA_VERSION}, {packages}."


def _figures(found: Outcome) -> Iterator[tuple[str, str]]:
    totals = found.totals
    yield "records published (bad ones among them)", f"{found.produced:,} ({found.bad:,})"
    yield "publishes repeated because the broker was away", f"{found.repeated:,}"
    for fate in ("consumed", "applied", "duplicates", "dead", "missing"):
        yield f"records {fate}", f"{totals.get(fate, 0):,}"
    for topic, (produced, stored) in found.distinct.items():
        yield f"{topic}: distinct ids produced / stored", f"{produced:,} / {stored:,}"
    yield "records a second, faults and catching up included", f"{found.produced / max(found.streamed_s, 1e-3):,.0f}"
    yield "minutes until everything was applied and windowed", f"{found.streamed_s / 60:.1f}"
    yield "faults", f"{found.faults.total():,}"
    yield "take-overs after a worker was hurt: number, median s, max s", _spread(found.take_overs_s)
    yield "SIGTERM to exit: number, median s, max s", _spread([stop.seconds for stop in found.stops])
    if found.verified:
        yield "rows verified / different", f"{found.verified.rows:,} / {found.verified.different:,}"
        yield "seconds of verify", f"{found.verified.seconds:.0f}"
    yield "alert changes recorded / not told on the topic", f"{found.alerts[0]:,} / {found.alerts[1]:,}"


def _spread(seconds: Sequence[float]) -> str:
    return f"{len(seconds)}, {median(seconds):.1f}, {max(seconds):.1f}" if seconds else "0"


def _over_time(found: Outcome) -> Iterator[str]:
    end_s = max((at for at, _ in found.lag), default=0.0) + 1e-3
    span_s = end_s / SPANS
    rows = []
    for number in range(SPANS):
        begin_s = span_s * number
        series = (*found.rss.values(), found.lag)
        peaks = [max((value for at, value in of if begin_s <= at < begin_s + span_s), default=None) for of in series]
        memory = ["" if peak is None else f"{peak >> 20:,}" for peak in peaks[:-1]]
        lag = "" if peaks[-1] is None else f"{max(peaks[-1], 0):,}"
        rows.append((f"{begin_s / 60:.1f}", *memory, lag))
    yield from _table(("from minute", *found.rss, "waiting"), rows)


def _table(head: Sequence[object], rows: Iterator[Sequence[object]] | Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(map(str, head))} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
