"""`tokenworth up`: a whole stack from one command, ended by Ctrl-C; a data directory whose records Tansu forgot is refused."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.conftest import Tokenworth
from tests.cli.test_replay import HEADER, ROWS

UP = ["up", "--broker", "tansu", "--kafka-port", "0", "--clickhouse-port", "0", "--data-dir", "stack"]


@contextmanager
def running(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A stack from `tokenworth up` and the settings that it prints; stopped as Ctrl-C stops it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", *UP],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "stop with Ctrl-C" in line:
                break
        yield dict(re.findall(r"(TOKENWORTH_\w+)=(\S+)", "".join(lines)))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def test_up(tokenworth: Tokenworth, tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(HEADER + ROWS)
    with running(tmp_path) as env:
        assert set(env) == {"TOKENWORTH_KAFKA", "TOKENWORTH_CLICKHOUSE"}
        assert tokenworth("replay", "runs.csv", "--mapping", "agent_runs", env=env).returncode == 0
        deadline = time.monotonic() + 60
        while "6 applied" not in (report := tokenworth("doctor", env=env)).stdout:
            assert time.monotonic() < deadline, report.stdout
        assert report.returncode == 0, report.stdout
    done = tokenworth(*UP)
    assert done.returncode == 3
    assert "Tansu kept none of their records" in done.stderr
    assert "--data-dir" in done.stderr
