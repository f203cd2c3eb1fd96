"""`python -m benchmarks.growth [--quick] [--only NAME,...] [--json FILE]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.growth.catalog import CURVES
from benchmarks.growth.curve import FULL, QUICK
from benchmarks.growth.run import run

NAMES = tuple(curve.name for curve in CURVES)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="shorter curves, fewer events: about four minutes")] = False,
    only: Annotated[str, typer.Option(help=f"names, separated by commas, of: {', '.join(NAMES)}")] = "",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="written after each curve; curves that are not measured stay")
    ] = None,
) -> None:
    """How cost and memory grow with items, teams, partitions, time and data."""
    chosen = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := set(chosen) - set(NAMES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: none of {', '.join(NAMES)}")
    results = run(chosen or NAMES, (QUICK if quick else FULL).name, json_file, typer.echo)
    if results["failed"]:
        typer.echo(f"\nfailed: {', '.join(results['failed'])}", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
