"""How tests run the command line, and one small demo whose stack stays up for the commands that show results."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from streams.config import Settings
from streams.local.demo.run import DemoOptions, Shown, run_demo

Tokenworth = Callable[..., "subprocess.CompletedProcess[str]"]

NOWHERE = {
    "TOKENWORTH_KAFKA": "127.0.0.1:9",
    "TOKENWORTH_CLICKHOUSE": "http://127.0.0.1:9/tokenworth",
}
"""Port 9 is reserved: nobody listens there."""


@pytest.fixture
def tokenworth(tmp_path: Path) -> Tokenworth:
    """Runs the command line as a process of its own, in an empty directory."""

    def run(
        *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TOKENWORTH_")}
        return subprocess.run(
            [sys.executable, "-m", "streams.cli", *arguments],
            env={**clean, **NOWHERE, "COLUMNS": "200", "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


class Silent:
    """Reports nothing."""

    def say(self, line: str) -> None:
        """No line."""

    def counting(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """No bar."""
        return nullcontext(lambda _: None)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A finished demo of four teams on Tansu, its stack running."""
    options = DemoOptions(teams=4, events=6_000, broker="tansu")
    with run_demo(options, Settings(data_dir=tmp_path_factory.mktemp("demo")), Silent()) as shown:
        yield shown
