"""`python -m benchmarks.scaling`: docs/scaling.md from the stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.scaling.costs import Assumed, load
from benchmarks.scaling.page import write


def main(
    docs: Annotated[Path, typer.Option(help="where scaling.md lies")] = Path("docs"),
) -> None:
    """Write the tables of docs/scaling.md from benchmarks/results."""
    page, assumed = docs / "scaling.md", Assumed()
    page.write_text(write(page.read_text(encoding="utf-8"), load(assumed), assumed), encoding="utf-8")
    typer.echo(page)


if __name__ == "__main__":
    typer.run(main)
