"""The proxies do what a fault says: otherwise a run under faults would prove nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from streams.agents.context import passes
from streams.store.client import Client
from tests.faults.links import REFUSALS, ClickHouseLink, Loop, NetworkLink

ROWS = pa.table({"a": [1, 2, 3]})


@pytest.fixture
def loop() -> Iterator[Loop]:
    with Loop() as running:
        yield running


@pytest.fixture
def echo() -> Iterator[int]:
    """Port of a server that says back what it hears."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection:
                while heard := connection.recv(1000):
                    connection.sendall(heard)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def network(loop: Loop, echo: int) -> NetworkLink:
    link = NetworkLink(echo)
    loop.serve(link)
    return link


@pytest.fixture
def connection(network: NetworkLink) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", network.port), timeout=10) as connected:
        connected.sendall(b"hello")
        assert connected.recv(100) == b"hello"
        yield connected


def test_what_is_sent_over_a_held_network_arrives_when_it_is_open_again(
    network: NetworkLink, connection: socket.socket
) -> None:
    network.state = "held"
    connection.sendall(b"late")
    connection.settimeout(0.3)
    with pytest.raises(TimeoutError):
        connection.recv(100)
    assert network.struck
    network.state = "open"
    connection.settimeout(10)
    assert connection.recv(100) == b"late"


def test_a_cut_network_breaks_connections_and_refuses_new_ones(network: NetworkLink, connection: socket.socket) -> None:
    network.state = "cut"
    assert _ends(connection)
    with socket.create_connection(("127.0.0.1", network.port), timeout=10) as another:
        assert _ends(another)
    assert network.struck >= 2
    network.state = "open"
    with socket.create_connection(("127.0.0.1", network.port), timeout=10) as again:
        again.sendall(b"back")
        assert again.recv(100) == b"back"


def test_a_delayed_network_takes_longer(network: NetworkLink, connection: socket.socket) -> None:
    network.delay_s, network.state = 0.2, "delayed"
    began = time.monotonic()
    connection.sendall(b"slow")
    assert connection.recv(100) == b"slow"
    assert time.monotonic() - began >= 0.4  # both ways
    assert network.struck == 2


@pytest.fixture
def store(loop: Loop, clickhouse_database: str) -> Iterator[tuple[ClickHouseLink, Client, Client]]:
    """A link, a client behind it and one of the real thing."""
    link = ClickHouseLink(int(clickhouse_database.split(":")[2].partition("/")[0]))
    loop.serve(link)
    database = clickhouse_database.rpartition("/")[2]
    linked = clickhouse_connect.get_client(
        dsn=f"http://127.0.0.1:{link.port}/{database}", autogenerate_session_id=False, send_receive_timeout=10
    )
    direct = clickhouse_connect.get_client(dsn=clickhouse_database, autogenerate_session_id=False)
    with closing(linked), closing(direct):
        direct.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        yield link, linked, direct


def rows(client: Client) -> int:
    return int(client.query("SELECT count() FROM t").result_rows[0][0])


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_insert_is_one_that_a_worker_repeats(
    store: tuple[ClickHouseLink, Client, Client], refusal: str
) -> None:
    link, linked, direct = store
    link.refusal, link.state = refusal, "refused"
    with pytest.raises(ClickHouseError) as raised:
        linked.insert_arrow("t", ROWS)
    assert passes(raised.value)
    assert rows(linked) == rows(direct) == 0
    link.state = "as they are"
    linked.insert_arrow("t", ROWS)
    assert rows(linked) == rows(direct) == 3


def test_a_lost_answer_leaves_the_rows(
    store: tuple[ClickHouseLink, Client, Client],
) -> None:
    link, linked, direct = store
    link.state = "lost"
    linked.insert_arrow("t", ROWS)
    assert rows(direct) == 3
    # The client itself sends once more what found a connection of before broken: whether it raises is its own affair.
    with suppress(ClickHouseError, OSError):
        linked.insert_arrow("t", ROWS)
    assert rows(direct) >= 6
    assert link.struck


def test_a_slow_store_takes_seconds_per_insert_and_a_silent_one_does_not_answer(
    store: tuple[ClickHouseLink, Client, Client],
) -> None:
    link, linked, direct = store
    link.delay_s, link.state = 0.3, "slow"
    began = time.monotonic()
    linked.insert_arrow("t", ROWS)
    assert time.monotonic() - began >= 0.3
    link.state = "none"
    asking = threading.Thread(target=lambda: rows(linked), daemon=True)
    asking.start()
    asking.join(0.5)
    assert asking.is_alive()
    assert rows(direct) == 3
    link.state = "as they are"
    asking.join(10)
    assert not asking.is_alive()


def _ends(connection: socket.socket) -> bool:
    try:
        return connection.recv(100) == b""
    except ConnectionError:
        return True
