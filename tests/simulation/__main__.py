"""`make simulate`: many seeds on all cores, or one seed step by step. Exits with 1 when any result differs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.simulation.processes import replay, simulated


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--first", type=int, default=1, help="first seed (1)")
    parser.add_argument("--seeds", type=int, default=2000, help="how many (2000)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many at a time (all cores)")
    parser.add_argument("--trace", action="store_true", help="print every step; for one seed")
    chosen = parser.parse_args(arguments)
    if chosen.trace and chosen.seeds != 1:
        parser.error("--trace is for one seed: add --seeds 1")
    console = Console(stderr=True)
    faults, different, steps, done = Counter[str](), list[int](), 0, 0
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("seeds", total=chosen.seeds)
        for outcome in simulated(
            range(chosen.first, chosen.first + chosen.seeds), chosen.processes, trace=chosen.trace
        ):
            faults, steps, done = faults + outcome.faults, steps + outcome.steps, done + 1
            rate = done / (time.monotonic() - began)
            progress.update(task, advance=1, description=f"{rate:.1f} seeds/s, {len(different)} different")
            if outcome.differences:
                different.append(outcome.seed)
                progress.console.print("\n".join(replay(outcome)), highlight=False, markup=False)
    told = ", ".join(f"{name} {count:,}" for name, count in sorted(faults.items()))
    print(
        f"{done:,} seeds from {chosen.first}, {steps:,} steps, {faults.total():,} faults ({told}), "
        f"{len(different)} different{': ' if different else ''}{', '.join(map(str, sorted(different)))}"
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
