"""Progress of long work on stderr: a bar with rate and time left on a terminal, one line at the end elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


@contextmanager
def counting(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Inside, call the yielded function with the count so far; any thread may, and a count that goes back is ignored."""
    from rich.console import Console  # noqa: PLC0415 - keeps --help instant
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("  {task.description}"),
        BarColumn(30),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}   {task.fields[rate]:,.0f}/s  "),
        TimeRemainingColumn(compact=True),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    task = bar.add_task(title, total=total, rate=0.0)
    began, reached = time.monotonic(), 0

    def upto(count: int) -> None:
        nonlocal reached
        if count > reached:
            reached = count
            bar.update(task, completed=count, rate=count / max(time.monotonic() - began, 1e-3))

    with bar:
        yield upto
    seconds = time.monotonic() - began
    say(f"{title}: {reached:,} in {seconds:.1f} s, {reached / max(seconds, 1e-3):,.0f}/s")


def say(line: str) -> None:
    """One line about what goes on, on stderr: stdout is for results."""
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


class Reporter:
    """Tells what the demo is doing."""

    def say(self, line: str) -> None:
        """One line."""
        say(line)

    def counting(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A bar."""
        return counting(title, total)
