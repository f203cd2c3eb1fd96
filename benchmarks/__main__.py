"""`python -m benchmarks`: tokenworth beside its limits and its peers, on one machine, in one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.growth.page import write_growth
from benchmarks.render import render as write
from benchmarks.run import NAMES, Options, benchmark
from benchmarks.screen import Screen
from streams.errors import TokenworthError

app = typer.Typer(add_completion=False)

RESULTS = Path(__file__).parent / "results"
EVENTS, RUNS = 2_000_000, 5
QUICK_EVENTS, QUICK_RUNS = 1_200_000, 3


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="fewer events and runs: under five minutes")] = False,
    events: Annotated[int, typer.Option(help="usage events; 0 takes the usual number")] = 0,
    runs: Annotated[int, typer.Option(help="runs of each system; 0 takes the usual number")] = 0,
    only: Annotated[str, typer.Option(help=f"names, separated by commas, of: {', '.join(NAMES)}")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="where to write the results")] = None,
) -> None:
    """Measure."""
    if context.invoked_subcommand:
        return
    chosen = frozenset(name.strip() for name in only.split(",") if name.strip())
    if unknown := chosen - set(NAMES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: none of {', '.join(NAMES)}")
    usual = (QUICK_EVENTS, QUICK_RUNS) if quick else (EVENTS, RUNS)
    screen = Screen()
    try:
        results = benchmark(Options(events or usual[0], runs or usual[1], quick, chosen), screen)
    except TokenworthError as error:
        screen.say(f"{error.message}\n{error.remedy}".rstrip())
        raise typer.Exit(1) from error
    if json_file is not None:
        json_file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    screen.show(results)


@app.command()
def render(
    files: Annotated[
        list[Path] | None, typer.Argument(help="results of --json, newest last; none: benchmarks/results/quick.json")
    ] = None,
    docs: Annotated[Path, typer.Option(help="where performance.md lies")] = Path("docs"),
) -> None:
    """Write docs/performance.md and its plots from stored results, those of benchmarks.growth in benchmarks/results included."""
    for path in write(
        [json.loads(file.read_text(encoding="utf-8")) for file in files or [RESULTS / "quick.json"]], docs
    ):
        typer.echo(path)
    if (grown := RESULTS / "growth.json").exists():
        for path in write_growth(json.loads(grown.read_text(encoding="utf-8")), docs):
            typer.echo(path)


if __name__ == "__main__":
    app()
