"""Where the worker's CPU time goes, as a picture: `python -m benchmarks.flame [--svg FILE]`.

One worker reads the benchmark's traffic end to end while py-spy samples its stacks. Each box is a function, as wide as its share of the samples; under
it stands what it called. Green is tokenworth, blue Polars, Arrow and NumPy, red Kafka and ClickHouse's clients; hover to read a box that is too narrow.
A compiled loop is not seen by itself: its time is that of the Python function that calls it. Samples of threads that wait are left out.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Annotated, Final

import psutil  # type: ignore[import-untyped]
import typer
from rich.console import Console

from benchmarks.run import PARTITIONS
from benchmarks.traffic import make, publish
from benchmarks.worker import WORKER, run_worker
from streams.agents.initialise import initialise
from streams.config import Settings
from streams.local.stack import Stack

SVG: Final = Path("docs/performance/flame.svg")
_RATE: Final = 100
_WAITING: Final = ("selectors.py", "threading.py", "_worker (concurrent/futures/thread.py", "readinto (socket.py")
_BETWEEN: Final = (
    "threading.py",
    "runpy",
    "asyncio/",
    "concurrent/",
    "typer/",
    "mode/",
    "streams/cli/",
    "faust/agents",
)
_WIDTH, _ROW, _LEAST = 1400.0, 17, 0.0008
_COLOURS: Final = (
    ("streams/", "#7fbf9b"),
    ("polars/", "#8fb3d9"),
    ("pyarrow/", "#8fb3d9"),
    ("numpy/", "#8fb3d9"),
    ("aiokafka/", "#e0a08c"),
    ("kafka/", "#e0a08c"),
    ("clickhouse_connect/", "#e0a08c"),
    ("urllib3/", "#e0a08c"),
    ("http/", "#e0a08c"),
)


@dataclass(slots=True)
class Box:
    """A function at one place of the call tree, and its samples."""

    name: str
    samples: int = 0
    called: dict[str, Box] = field(default_factory=dict)

    def add(self, stack: list[str], samples: int) -> None:
        """Samples of a stack that goes on below this box, the caller first."""
        self.samples += samples
        if stack:
            self.called.setdefault(stack[0], Box(stack[0])).add(stack[1:], samples)


def tree(collapsed: str) -> Box:
    """Stacks of py-spy's raw format (`frame;frame;... samples` in a line, the thread first) as one tree, without waiting and what only passes on."""
    root = Box("worker")
    for line in collapsed.splitlines():
        stack, _, samples = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if not frames or any(waiting in frames[-1] for waiting in _WAITING):
            continue
        name = thread.rpartition(": ")[2].rstrip("0123456789_-) ") or "thread"
        root.add(
            [name, *(_plain(frame) for frame in frames if not any(part in frame for part in _BETWEEN))], int(samples)
        )
    return root


def _plain(frame: str) -> str:
    """A frame without its line number, so that a function is one box."""
    head, colon, _ = frame.rpartition(":")
    return f"{head})" if colon else frame


def drawn(root: Box, title: str) -> str:
    """The tree as SVG."""
    boxes = list(_placed(root, 0.0, 0, max(root.samples, 1)))
    height = (max(depth for *_, depth in boxes) + 3) * _ROW
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{_WIDTH:.0f}" height="{height}" fill="#ffffff"/>',
        f'<text x="6" y="{_ROW - 4}" font-size="13">{escape(title)}</text>',
    ]
    for box, left, width, depth in boxes:
        top, share = (depth + 1.4) * _ROW, box.samples / max(root.samples, 1)
        room = int(width / 6.2) - 1
        label = box.name if len(box.name) <= room else f"{box.name[: room - 1]}…" if room > 4 else ""
        out.append(
            f'<g><title>{escape(box.name)}: {share:.1%}</title><rect x="{left:.1f}" y="{top:.1f}" width="{max(width - 0.5, 0.3):.1f}" '
            f'height="{_ROW - 1}" fill="{_colour(box.name)}"/><text x="{left + 3:.1f}" y="{top + 12:.1f}">{escape(label)}</text></g>'
        )
    return "\n".join([*out, "</svg>", ""])


def _placed(box: Box, left: float, depth: int, whole: int) -> Iterator[tuple[Box, float, float, int]]:
    """Boxes wide enough to be seen, with left edge, width and depth."""
    yield box, left, _WIDTH * box.samples / whole, depth
    for called in sorted(box.called.values(), key=lambda one: -one.samples):
        if called.samples >= _LEAST * whole:
            yield from _placed(called, left, depth + 1, whole)
        left += _WIDTH * called.samples / whole


def _colour(name: str) -> str:
    return next((colour for part, colour in _COLOURS if part in name), "#d5d8dc")


def main(
    events: Annotated[int, typer.Option(help="usage events")] = 1_200_000,
    svg: Annotated[Path, typer.Option(help="where to write the picture")] = SVG,
) -> None:
    """Draw where the worker's CPU time goes."""
    traffic = make(events)
    with tempfile.TemporaryDirectory(prefix="tokenworth-flame-") as directory, Stack(Path(directory)) as stack:
        settings = Settings(
            kafka=stack.kafka, clickhouse=stack.clickhouse, partitions=PARTITIONS, data_dir=Path(directory)
        )
        initialise(settings)
        publish(settings, traffic, [], lambda _: None)
        collapsed, samplers = Path(directory) / "stacks", list[subprocess.Popen[bytes]]()

        def sample(_: int) -> None:
            if not samplers:
                samplers.append(_sampler(_worker_pid(), collapsed))

        found = run_worker(stack, settings, 0, sample)
        samplers[0].wait(30)
        root = tree(collapsed.read_text(encoding="utf-8"))
    rate = f"{found.events_per_cpu_s:,.0f} records per CPU second"
    svg.write_text(
        drawn(root, f"tokenworth worker, {events:,} usage events, {rate}, {root.samples:,} samples"), "utf-8"
    )
    Console().print(f"{svg}: {rate}")


def _worker_pid() -> int:
    below = psutil.Process().children(recursive=True)
    return next(int(one.pid) for one in below if one.cmdline() == WORKER)


def _sampler(pid: int, collapsed: Path) -> subprocess.Popen[bytes]:
    py_spy = Path(sys.executable).with_name("py-spy")
    options = ["record", "--pid", str(pid), "--rate", str(_RATE), "--nonblocking", "--threads", "--format", "raw"]
    return subprocess.Popen(
        [str(py_spy), *options, "--output", str(collapsed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


if __name__ == "__main__":
    typer.run(main)
