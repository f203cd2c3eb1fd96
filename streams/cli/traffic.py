"""Commands that put events in: demo and replay."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    pass
