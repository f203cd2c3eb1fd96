"""The terminal: what is measured now, and the table at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


class Screen:
    """A Reporter on a terminal; plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    def say(self, line: str) -> None:
        """One line."""
        self._console.print(line, highlight=False)

    @contextmanager
    def counting(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar that goes away; yields what sets it."""
        if not self._console.is_terminal:
            yield lambda _: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda count: bar.update(task, completed=min(count, total))

    def show(self, results: dict[str, Any]) -> None:
        """The table of all systems."""
        traffic = results["traffic"]
        table = Table(
            title=f"{traffic['usage_events']:,} usage events, {traffic['lines']:,} lines, {traffic['panes']:,} panes; medians"
        )
        table.add_column("system")
        for name in ("events/CPU s", "warm", "events/s", "peak MB", "x worker", "tokenworth x", "runs", "events"):
            table.add_column(name, justify="right")
        for title, found in rows(results):
            table.add_row(
                title,
                *(
                    f"{found[name]:,.0f}" if found[name] else "."  # progress in one lump has no second half
                    for name in ("events_per_cpu_s", "warm_events_per_cpu_s", "events_per_s", "rss_mb")
                ),
                ratio(found, results.get("worker")),
                lead(title, found, results),
                str(len(found["runs"]["events_per_s"])),
                f"{found['events']:,}",
            )
        console = Console()
        console.width = max(console.width, 124)
        console.print(table)
        for name, reason in results["absent"].items():
            console.print(f"{name}: not measured: {reason}", highlight=False)


def rows(results: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What was measured, in the order in which it is shown, each with its title."""
    found = [("worker, end to end", results["worker"])] if "worker" in results else []
    found += [(f"limit: {name}", limit) for name, limit in results["limits"].items()]
    return found + [
        (f"{name} {peer['version']}" + ", peers' job" * (name == "tokenworth"), peer)
        for name, peer in results["peers"].items()
    ]


def lead(title: str, found: dict[str, Any], results: dict[str, Any]) -> str:
    """How many times as much tokenworth does on the peers' job per CPU second, against the better of the peer's two figures."""
    own = results["peers"].get("tokenworth")
    if own is None or own is found or title.startswith(("worker", "limit")):
        return "."
    return f"{own['events_per_cpu_s'] / max(found['events_per_cpu_s'], found['warm_events_per_cpu_s']):.2f}"


def ratio(found: dict[str, Any], worker: dict[str, Any] | None) -> str:
    """Events per CPU second as a multiple of the worker's."""
    return f"{found['events_per_cpu_s'] / worker['events_per_cpu_s']:.2f}" if worker else "."
