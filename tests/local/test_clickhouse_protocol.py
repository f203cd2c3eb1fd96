"""ClickHouse's HTTP protocol as curl sees it: methods, status codes, headers, encodings, users, sessions."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from base64 import b64encode
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlencode

import lz4.frame  # type: ignore[import-untyped]
import pytest
import zstandard


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return self.headers.get("X-ClickHouse-Exception-Code", "")


class Http:
    """Plain requests to one database."""

    def __init__(self, url: str) -> None:
        self.server, _, self.database = url.removeprefix("http://").partition("/")

    def __call__(
        self,
        query: str = "",
        body: bytes = b"",
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        **parameters: str,
    ) -> Reply:
        parameters = {"database": self.database, **({"query": query} if query else {}), **parameters}
        connection = HTTPConnection(self.server, timeout=60)
        try:
            connection.request(method, f"/?{urlencode(parameters)}", body or None, headers or {})
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


@pytest.fixture
def http(clickhouse_database: str) -> Http:
    return Http(clickhouse_database)


def test_ping(clickhouse_url: str) -> None:
    connection = HTTPConnection(clickhouse_url.removeprefix("http://"))
    for path in ("/ping", "/", "/replicas_status"):
        connection.request("GET", path)
        assert connection.getresponse().read() == b"Ok.\n"
    connection.close()


def test_the_statement_may_stand_in_the_url_the_body_or_both(http: Http) -> None:
    assert http("SELECT 1 + 1").body == b"2\n"
    assert http("", b"SELECT 1 + 1").body == b"2\n"
    assert http("SELECT 1", b"+ 1 FORMAT CSV").body == b"2\n"
    assert http("SELECT 'x'", method="GET").body == b"x\n"


def test_headers_of_a_result(http: Http) -> None:
    reply = http("SELECT number FROM numbers(3) FORMAT JSONEachRow", query_id="mine")
    assert (reply.headers["X-ClickHouse-Query-Id"], reply.headers["X-ClickHouse-Timezone"]) == ("mine", "UTC")
    assert reply.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert json.loads(reply.headers["X-ClickHouse-Summary"])["result_rows"] == "3"
    assert http("SELECT 1", default_format="CSV").headers["X-ClickHouse-Format"] == "CSV"
    assert http("SELECT [1]", headers={"X-ClickHouse-Format": "JSONEachRow"}).body == b'{"[1]":[1]}\n'
    assert "X-ClickHouse-Format" not in http("CREATE TABLE t (a UInt8) ENGINE = Memory").headers


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELEC", 400, "62"),
        ("SELECT nope", 404, "47"),
        ("SELECT * FROM nope", 404, "60"),
        ("SELECT toUInt8('x')", 400, "6"),
        ("SELECT throwIf(1)", 500, "395"),
        ("SELECT sleep(3) SETTINGS max_execution_time = 0.1", 408, "159"),
        ("SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 10000000", 500, "241"),
    ],
)
def test_errors_have_the_servers_status_and_code(http: Http, query: str, status: int, code: str) -> None:
    reply = http(query)
    assert (reply.status, reply.code) == (status, code)
    assert reply.body.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert b"(version " in reply.body
    assert reply.headers["X-ClickHouse-Query-Id"]


def test_get_changes_nothing(http: Http) -> None:
    assert http("CREATE TABLE t (a UInt8) ENGINE = Memory").status == 200
    for query in ("INSERT INTO t VALUES (1)", "DROP TABLE t", "CREATE TABLE u (a UInt8) ENGINE = Memory"):
        assert http(query, method="GET").code == "164"
    assert http("SELECT count() FROM t", method="GET").body == b"0\n"


@pytest.mark.parametrize(
    ("encoding", "pack", "unpack"),
    [
        ("gzip", gzip.compress, gzip.decompress),
        ("lz4", lz4.frame.compress, lz4.frame.decompress),
        (
            "zstd",
            zstandard.ZstdCompressor().compress,
            lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
        ),
    ],
)
def test_encodings(http: Http, encoding: str, pack: object, unpack: object) -> None:
    assert callable(pack)
    assert callable(unpack)
    packed = {"Content-Encoding": encoding}
    http("CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
    rows = "".join(f"{number}\n" for number in range(10_000)).encode()
    assert http("INSERT INTO t FORMAT TSV", pack(rows), headers=packed).status == 200
    assert http("", pack(b"INSERT INTO t FORMAT TSV\n" + rows), headers=packed).status == 200
    assert http("", pack(b"SELECT count() FROM t"), headers=packed).body == b"20000\n"
    reply = http(
        "SELECT DISTINCT a FROM t ORDER BY a", enable_http_compression="1", headers={"Accept-Encoding": encoding}
    )
    assert reply.headers["Content-Encoding"] == encoding
    assert unpack(reply.body) == rows
    assert http("SELECT DISTINCT a FROM t ORDER BY a", headers={"Accept-Encoding": encoding}).body == rows
    broken = http("", b"not packed", headers=packed)
    assert (broken.status, broken.code) == (400, "117")


def test_unknown_encodings_are_refused(http: Http) -> None:
    assert http("SELECT 1", b"x", headers={"Content-Encoding": "rot13"}).code == "89"
    assert http("SELECT 1", b"x", decompress="1").status == 501


@pytest.mark.parametrize(
    ("headers", "parameters", "welcome"),
    [
        ({}, {}, True),
        ({}, {"user": "default", "password": ""}, True),
        ({"Authorization": "Basic " + b64encode(b"default:").decode()}, {}, True),
        ({"X-ClickHouse-User": "default", "X-ClickHouse-Key": ""}, {}, True),
        ({"X-ClickHouse-User": "default", "X-ClickHouse-Key": "wrong"}, {}, False),
        ({"Authorization": "Basic " + b64encode(b"root:secret").decode()}, {}, False),
        ({}, {"user": "default", "password": "wrong"}, False),
    ],
)
def test_only_the_default_user_without_password(
    http: Http, headers: dict[str, str], parameters: dict[str, str], welcome: bool
) -> None:
    reply = http("SELECT 1", b"", headers=headers, **parameters)
    assert (reply.status, reply.code) == ((200, "") if welcome else (403, "516"))


def test_sessions(http: Http) -> None:
    assert http("SELECT 1", session_id="s1", session_check="1").code == "372"
    http("SET max_threads = 3", session_id="s1")
    assert http("SELECT getSetting('max_threads')", session_id="s1", session_check="1").body == b"3\n"
    http("CREATE TEMPORARY TABLE brief (a UInt8)", session_id="s2", session_timeout="0")
    assert http("SELECT * FROM brief", session_id="s2").code == "60"


def test_a_busy_session_is_locked(http: Http) -> None:
    first = threading.Thread(target=http, args=("SELECT sleep(1)",), kwargs={"session_id": "busy"})
    first.start()
    time.sleep(0.3)
    assert http("SELECT 1", session_id="busy").code == "373"
    first.join()
    assert http("SELECT 1", session_id="busy").body == b"1\n"


def test_a_read_ends_when_its_client_goes(http: Http) -> None:
    query = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
    connection = HTTPConnection(http.server, timeout=1)
    parameters = {"query": query, "cancel_http_readonly_queries_on_client_close": "1"}
    connection.request("POST", f"/?{urlencode(parameters)}")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    running = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'"
    assert http(running).body == b"1\n"
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    deadline = time.monotonic() + 10
    while http(running).body != b"0\n":
        assert time.monotonic() < deadline, "the query still runs"
        time.sleep(0.1)
