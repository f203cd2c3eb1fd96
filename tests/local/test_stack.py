"""The process tree: it comes up whole, ends whole, and says what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import clickhouse_connect
import psutil  # type: ignore[import-untyped]
import pytest

from streams.errors import SetupError, TokenworthError
from streams.local.broker import answers
from streams.local.stack import Stack

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
PROGRAM = """
import sys
from pathlib import Path
from streams.local.stack import Stack
try:
    with Stack(Path(sys.argv[1]), "tansu") as stack:
        stack.spawn("worker", [sys.executable, "-c", "import time; time.sleep(600)"])
        print(*(stack.child(name).pid for name in ("clickhouse", "tansu", "worker")), flush=True)
        stack.wait()
except KeyboardInterrupt:
    pass  # the signal came before the wait
print("ended in order", flush=True)
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path / "data", "tansu") as stack:
        yield stack


def command(stack: Stack, sql: str) -> object:
    with closing(clickhouse_connect.get_client(dsn=stack.clickhouse, autogenerate_session_id=False)) as client:
        return client.command(sql)


def assert_gone(pids: list[int], within_s: float = 12.0) -> None:
    deadline = time.monotonic() + within_s
    while left := [
        pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)


def test_both_answer_inside_and_nothing_is_left_outside(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with Stack(tmp_path / "data", "tansu") as stack:
        assert answers(stack.kafka)
        assert command(stack, "SELECT currentDatabase()") == "tokenworth"
        stack.spawn("worker", SLEEPER)
        stack.check()
    assert {child.pid for child in psutil.Process().children(recursive=True)} == before  # no zombie either
    assert sorted(path.name for path in (tmp_path / "data" / "logs").iterdir()) == [
        "clickhouse.log",
        "tansu.log",
        "worker.log",
    ]


def test_workers_get_the_settings_of_the_stack(stack: Stack) -> None:
    show = (
        "import os; print(*(os.environ[f'TOKENWORTH_{name}'] for name in ('KAFKA', 'CLICKHOUSE', 'DATA_DIR', 'GROUP')))"
    )
    worker = stack.spawn("worker", [sys.executable, "-c", show], env={"TOKENWORTH_GROUP": "mine"})
    assert worker.join(30) == 0
    assert worker.log_tail() == f"{stack.kafka} {stack.clickhouse} {stack.data_dir} mine"


def test_data_stay_for_the_next_start(tmp_path: Path) -> None:
    with Stack(tmp_path, "tansu") as stack:
        command(stack, "CREATE TABLE t ENGINE = MergeTree ORDER BY a AS SELECT 5 AS a")
    with Stack(tmp_path, "tansu") as stack:
        assert command(stack, "SELECT a FROM t") == 5


@pytest.mark.kafka
def test_it_runs_on_apache_kafka_and_survives_kill_9_of_each_server(tmp_path: Path) -> None:
    with Stack(tmp_path, "kafka") as stack:
        assert stack.broker.kind == "kafka"
        kafka, clickhouse = stack.child("kafka"), stack.child("clickhouse")
        for child in (kafka, clickhouse):
            child.kill()
            with pytest.raises(TokenworthError, match=f"{child.name} was ended by SIGKILL"):
                stack.check()
            child.restart()
        stack.wait_until_ready()
        assert answers(stack.kafka)
        assert command(stack, "SELECT 1") == 1


def test_the_death_of_a_child_ends_all_and_is_explained(tmp_path: Path) -> None:
    pids = []

    def run() -> None:
        with Stack(tmp_path, "tansu") as stack:
            dying = "import time; time.sleep(0.5); print('cannot go on'); raise SystemExit(7)"
            stack.spawn("worker", [sys.executable, "-c", dying])
            pids.extend([stack.child("clickhouse").pid, stack.child("tansu").pid])
            stack.wait()

    with pytest.raises(TokenworthError, match="worker ended with exit code 7") as raised:
        run()
    assert "cannot go on" in raised.value.message
    assert str(tmp_path / "logs" / "worker.log") in raised.value.remedy
    assert_gone(pids, within_s=0.5)


def test_a_command_that_does_not_exist_is_explained(stack: Stack) -> None:
    worker = stack.spawn("worker", ["no-such-program"])
    assert worker.join(10) == 1
    with pytest.raises(TokenworthError, match="no-such-program: No such file"):
        stack.check()
    stack.release(worker)
    stack.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_all_in_order(number: signal.Signals, tmp_path: Path) -> None:
    with _program(tmp_path) as parent:
        pids = _pids(parent)
        parent.send_signal(number)
        output, _ = parent.communicate(timeout=30)
    assert (parent.returncode, output.strip()) == (0, "ended in order")
    assert_gone(pids, within_s=0.5)


def test_sigterm_while_starting_leaves_nothing(tmp_path: Path) -> None:
    with _program(tmp_path) as parent:
        deadline = time.monotonic() + 30
        while not (children := psutil.Process(parent.pid).children()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        parent.send_signal(signal.SIGTERM)
        parent.communicate(timeout=30)
    assert_gone([child.pid for child in children])


def test_children_end_with_a_killed_parent_and_the_next_start_works(tmp_path: Path) -> None:
    with _program(tmp_path) as parent:
        pids = _pids(parent)
        parent.kill()
    with Stack(tmp_path, "tansu"):
        assert_gone(pids)


def test_a_directory_has_one_stack(stack: Stack) -> None:
    with pytest.raises(SetupError, match=f"in use by process {os.getpid()}") as raised, Stack(stack.data_dir, "tansu"):
        pass
    assert "TOKENWORTH_DATA_DIR" in raised.value.remedy
    assert command(stack, "SELECT 1") == 1


def test_an_unwritable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="Not a directory") as raised, Stack(tmp_path / "file" / "data", "tansu"):
        pass
    assert str(tmp_path / "file" / "data") in raised.value.message


@pytest.mark.parametrize("setting", ["kafka", "clickhouse"])
def test_a_taken_port_is_named_and_nothing_stays(setting: str, stack: Stack, tmp_path: Path) -> None:
    ports: dict[str, Any] = (
        {"kafka_port": int(stack.kafka.rpartition(":")[2])}
        if setting == "kafka"
        else {"clickhouse_port": int(stack.clickhouse.split(":")[2].split("/")[0])}
    )
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(SetupError, match=f"{setting}: port") as raised, Stack(tmp_path / "other", "tansu", **ports):
        pass
    assert "port" in raised.value.remedy
    assert {child.pid for child in psutil.Process().children(recursive=True)} == before


def _program(data: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(data)], stdout=subprocess.PIPE, text=True)


def _pids(parent: subprocess.Popen[str]) -> list[int]:
    assert parent.stdout is not None
    return [int(pid) for pid in parent.stdout.readline().split()]
