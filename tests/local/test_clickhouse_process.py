"""The server as a process: its data outlive it, its directory has one owner, it ends when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import Error

from streams.errors import SetupError, TokenworthError
from streams.local.process import reserve_port
from streams.local.stack import ClickHouse, start_clickhouse

Start = Callable[[], ClickHouse]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers = []

    def started() -> ClickHouse:
        servers.append(start_clickhouse(tmp_path / "data", tmp_path))
        servers[-1].wait_until_ready()
        return servers[-1]

    yield started
    for server in servers:
        server.child.stop()


def command(server: ClickHouse, sql: str) -> object:
    with closing(clickhouse_connect.get_client(dsn=server.address, autogenerate_session_id=False)) as client:
        return client.command(sql)


def fill(server: ClickHouse) -> None:
    command(
        server,
        "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
    )
    command(server, "INSERT INTO t SELECT number FROM numbers(1000)")


def test_data_outlive_a_stop_and_a_kill(start: Start) -> None:
    server = start()
    fill(server)
    server.child.stop()
    assert server.child.exit_code == 0
    server = start()
    assert command(server, "SELECT count() FROM t") == 1000
    command(server, "INSERT INTO t SELECT number FROM numbers(1000)")
    server.child.kill()
    server = start()
    assert command(server, "SELECT count() FROM t") == 2000


def test_a_stop_ends_queries_that_run_too_long(start: Start) -> None:
    server = start()
    failures = []

    def run_for_ever() -> None:
        try:
            command(server, "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1")
        except Error as error:
            failures.append(error)

    query = threading.Thread(target=run_for_ever)
    query.start()
    time.sleep(1)
    began = time.monotonic()
    server.child.stop(grace_s=20)
    query.join()
    assert (server.child.exit_code, len(failures)) == (0, 1)
    assert time.monotonic() - began < 15


def test_a_stop_waits_for_a_short_insert(start: Start) -> None:
    server = start()
    fill(server)
    insert = threading.Thread(
        target=command,
        args=(server, "INSERT INTO t SELECT number + sleepEachRow(0.1) FROM numbers(10) SETTINGS max_block_size = 10"),
    )
    insert.start()
    time.sleep(0.5)
    server.child.stop()
    insert.join()
    assert command(start(), "SELECT count() FROM t") == 1010


def test_a_directory_has_one_owner(start: Start, tmp_path: Path) -> None:
    server = start()
    argv = [
        sys.executable,
        "-m",
        "streams.local.clickhouse",
        "--port",
        str(reserve_port("x")),
        "--path",
        str(tmp_path / "data"),
    ]
    second = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "TZ": "UTC"})
    assert second.returncode == 1
    assert f"in use by process {server.child.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert command(server, "SELECT 1") == 1


def test_a_taken_port_is_named(start: Start, tmp_path: Path) -> None:
    port = int(start().address.rpartition(":")[2])
    with pytest.raises(SetupError, match=f"port {port}"):
        start_clickhouse(tmp_path / "other", tmp_path, port=port)
    argv = [sys.executable, "-m", "streams.local.clickhouse", "--port", str(port), "--path", str(tmp_path / "other")]
    second = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "TZ": "UTC"})
    assert second.returncode == 1
    assert f"port {port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_directory_that_is_no_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    server = start_clickhouse(tmp_path / "data", tmp_path)
    with pytest.raises(TokenworthError, match="data_dir"):
        server.wait_until_ready()


def test_an_insert_leaves_no_file_behind_even_when_the_server_is_killed(start: Start, tmp_path: Path) -> None:
    server = start()
    fill(server)
    with closing(clickhouse_connect.get_client(dsn=server.address, autogenerate_session_id=False)) as client:
        client.raw_insert("t", insert_block="1\n", fmt="TSV")
        slow = threading.Thread(
            target=_ignore_errors, args=(lambda: client.raw_insert("t", insert_block="1\n" * 20_000_000, fmt="TSV"),)
        )
        slow.start()
        time.sleep(0.5)
        server.child.kill()
        slow.join()
    left = [
        path
        for path in (
            *Path("/dev/shm").glob("tokenworth*"),
            *Path("/tmp").glob("tokenworth-insert-*"),
            *tmp_path.rglob("*insert*"),
        )
        if path.is_file()
    ]
    assert left == []


def test_the_server_ends_with_the_thread_of_its_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from streams.local.stack import start_clickhouse\n"
        "server = start_clickhouse(Path(sys.argv[1]) / 'data', Path(sys.argv[1])); server.wait_until_ready()\n"
        "print(server.child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/exe").exists():
        assert time.monotonic() < deadline, "the server outlives its parent"
        time.sleep(0.05)


def _ignore_errors(action: Callable[[], object]) -> None:
    try:
        action()
    except Error:
        return
