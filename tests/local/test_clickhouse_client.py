"""The stock client, clickhouse-connect, works unchanged against the embedded server."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
import lz4.frame  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
import zstandard
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIGRATION = Path(__file__).parents[2] / "streams" / "store" / "migrations" / "0001_tables.sql"


@pytest.fixture
def client(clickhouse_database: str) -> Iterator[Any]:
    with closing(clickhouse_connect.get_client(dsn=clickhouse_database, autogenerate_session_id=False)) as client:
        yield client


@pytest.fixture
def session(clickhouse_database: str) -> Iterator[Any]:
    """A client as it comes by default: with a session."""
    with closing(clickhouse_connect.get_client(dsn=clickhouse_database)) as client:
        yield client


@pytest.fixture
def table(client: Any) -> str:
    client.command(
        "CREATE TABLE t (a UInt64, s LowCardinality(String), n Nullable(Int64)) ENGINE = MergeTree ORDER BY a"
    )
    return "t"


def rows(client: Any, sql: str, **options: Any) -> list[Any]:
    return list(client.query(sql, **options).result_rows)


def test_every_kind_of_value_comes_back(client: Any) -> None:
    at = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
    sql = "SELECT 1::UInt8, -5::Int64, 'tab\\there', [1, 2], ('a', 3), NULL, map('k', 1.5), toLowCardinality('x'), toDateTime64('2026-03-01 12:30:15.123456', 6, 'UTC')"
    assert rows(client, sql, tz_mode="aware") == [(1, -5, "tab\there", [1, 2], ("a", 3), None, {"k": 1.5}, "x", at)]


def test_the_server_is_utc_and_names_its_version(client: Any) -> None:
    assert str(client.server_tz) == "UTC"
    assert rows(client, "SELECT version(), timezone()") == [(client.server_version, "UTC")]


def test_commands_return_values_nothing_or_a_summary(client: Any, table: str) -> None:
    assert client.command("SELECT 5") == 5
    assert client.command("SELECT 1 WHERE 0") == ""
    assert client.command("EXISTS TABLE t") == 1
    assert client.command("INSERT INTO t SELECT number, 'x', NULL FROM numbers(10)").written_rows == 10
    assert client.command("INSERT INTO t VALUES", data="(7, 'a;b', 1), (8, 'it''s', NULL)").written_rows == 2
    assert client.command("INSERT INTO t VALUES ({a:UInt64}, upper('q'), NULL)", parameters={"a": 9}).written_rows == 1
    assert client.command("SELECT count() FROM t") == 13


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_inserts_and_results_travel_with_any_compression(
    clickhouse_database: str, compress: bool | str, table: str
) -> None:
    with closing(
        clickhouse_connect.get_client(dsn=clickhouse_database, autogenerate_session_id=False, compress=compress)
    ) as client:
        data = [[number, f"kind {number % 7}", number if number % 3 else None] for number in range(20_000)]
        assert client.insert("t", data, column_names=["a", "s", "n"]).written_rows == 20_000
        assert rows(client, "SELECT a, s, n FROM t ORDER BY a") == [tuple(row) for row in data]


def test_arrow_and_data_frames(client: Any, table: str) -> None:
    arrow = pa.table(
        {
            "a": pa.array([1, 2, 3], pa.uint64()),
            "s": pa.array(["x", "y", "x"]).dictionary_encode(),
            "n": pa.array([1, None, 3], pa.int64()),
        }
    )
    assert client.insert_arrow("t", arrow).written_rows == 3
    client.insert_df("t", client.query_df("SELECT a + 10 AS a, s, n FROM t"))
    assert client.query_arrow("SELECT a, n FROM t ORDER BY a").to_pydict() == {
        "a": [1, 2, 3, 11, 12, 13],
        "n": [1, None, 3, 1, None, 3],
    }
    assert client.query_df("SELECT s, count() AS c FROM t GROUP BY s ORDER BY s").to_dict("list") == {
        "s": ["x", "y"],
        "c": [4, 2],
    }


@pytest.mark.parametrize(
    ("compression", "pack"),
    [
        (None, bytes),
        ("gzip", gzip.compress),
        ("lz4", lz4.frame.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
    ],
)
def test_raw_inserts_of_any_format(client: Any, table: str, compression: str | None, pack: Any) -> None:
    client.raw_insert("t", ["a", "s"], insert_block=pack(b'1,"x\ny"\n2,z\n'), fmt="CSV", compression=compression)
    client.raw_insert(
        "t",
        insert_block=pack(b'{"a": 3, "s": "w", "unknown": 0}'),
        fmt="JSONEachRow",
        compression=compression,
        settings={"input_format_skip_unknown_fields": 1},
    )
    assert rows(client, "SELECT a, s FROM t ORDER BY a") == [(1, "x\ny"), (2, "z"), (3, "w")]


def test_raw_inserts_from_a_generator(client: Any, table: str) -> None:
    client.raw_insert("t", ["a"], insert_block=(f"{number}\n".encode() for number in range(1000)), fmt="TSV")
    assert client.command("SELECT sum(a) FROM t") == 499_500


def test_any_format_comes_back_raw(client: Any) -> None:
    assert client.raw_query("SELECT 1 AS a, 'x' AS b", fmt="JSONEachRow") == b'{"a":1,"b":"x"}\n'
    assert client.raw_query("SELECT 1 AS a FORMAT CSVWithNames") == b'"a"\n1\n'
    assert client.query("SELECT number FROM numbers(3) LIMIT 0").column_names == ("number",)


def test_parameters_are_bound_by_the_server(client: Any) -> None:
    values = {
        "text": "it's a \\ \t \n ; -- {x:Int8}",
        "texts": ["a'b", "c\\d", "e\nf"],
        "numbers": [1, -2],
        "at": datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC),
        "pairs": [("a", 1), ("b'", 2)],
        "nothing": None,
    }
    sql = (
        "SELECT {text:String}, {texts:Array(String)}, {numbers:Array(Int64)}, {at:DateTime64(6, 'UTC')}, {pairs:Array(Tuple(String, UInt8))}, "
        "{nothing:Nullable(String)}"
    )
    assert rows(client, sql, parameters=values, tz_mode="aware") == [tuple(values.values())]


def test_parameters_too_long_for_a_url(client: Any) -> None:
    names = [f"name-{number:06}" for number in range(5_000)]
    assert rows(
        client, "SELECT length({names:Array(String)}), {names:Array(String)}[-1]", parameters={"names": names}
    ) == [(5_000, names[-1])]


def test_identifiers_as_parameters(client: Any, table: str) -> None:
    assert rows(client, "SELECT count() FROM {name:Identifier}", parameters={"name": table}) == [(0,)]


def test_settings_hold_for_one_request(client: Any, table: str) -> None:
    sql = "SELECT getSetting('max_threads'), getSetting('async_insert')"
    before = rows(client, sql)
    assert before[0][1] is False
    assert rows(client, sql, settings={"max_threads": 7}) == [(7, False)]
    assert rows(client, sql) == before
    client.insert("t", [[1]], column_names=["a"], settings={"async_insert": 0, "max_insert_block_size": 1000})
    with pytest.raises(DatabaseError, match="TOO_MANY_ROWS_OR_BYTES"):
        client.query(
            "SELECT number FROM numbers(100)", settings={"max_result_rows": 10, "result_overflow_mode": "throw"}
        )


def test_nothing_of_a_request_without_session_stays(client: Any) -> None:
    client.command("SET max_threads = 9")
    client.command("CREATE TEMPORARY TABLE gone (a UInt8)")
    assert rows(client, "SELECT getSetting('max_threads') = 9, count() FROM system.tables WHERE name = 'gone'") == [
        (False, 0)
    ]


def test_a_session_keeps_settings_temporary_tables_and_database(session: Any) -> None:
    session.command("SET max_threads = 3")
    session.command("CREATE TEMPORARY TABLE kept (a UInt8)")
    session.insert("kept", [[1], [2]], column_names=["a"])
    assert rows(session, "SELECT sum(a), getSetting('max_threads') FROM kept") == [(3, 3)]
    assert rows(
        session,
        "SELECT getSetting('max_threads'), getSetting('max_block_size')",
        settings={"max_threads": 5, "max_block_size": 100},
    ) == [(5, 100)]
    assert rows(session, "SELECT getSetting('max_threads'), getSetting('max_block_size') = 100") == [(3, False)]


def test_external_tables(client: Any, session: Any) -> None:
    for any_client in (client, session, session):
        wanted = ExternalData(
            file_name="wanted.csv", data=b"1,one\n3,three\n", fmt="CSV", structure=["n UInt64", "name String"]
        )
        assert rows(
            any_client, "SELECT name FROM numbers(3) AS n3 JOIN wanted ON n = number", external_data=wanted
        ) == [("one",)]
    typed = ExternalData(file_name="typed", data=b"5\tx\n", fmt="TSV", types=["UInt8", "String"])
    assert rows(client, "SELECT _1, _2 FROM typed", external_data=typed) == [(5, "x")]


@pytest.mark.parametrize(
    ("sql", "code", "name"),
    [
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR"),
        ("1 + 1", 62, "SYNTAX_ERROR"),
        ("SELECT nope", 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT nope()", 46, "UNKNOWN_FUNCTION"),
        ("SELECT * FROM nope", 60, "UNKNOWN_TABLE"),
        ("SELECT * FROM nope.t", 81, "UNKNOWN_DATABASE"),
        ("SELECT 1 SETTINGS nope = 1", 115, "UNKNOWN_SETTING"),
        ("SELECT {a:UInt8}", 456, "UNKNOWN_QUERY_PARAMETER"),
        ("SELECT throwIf(number = 3) FROM numbers(10)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT toUInt8('x')", 6, "CANNOT_PARSE_TEXT"),
        ("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a", 57, "TABLE_ALREADY_EXISTS"),
    ],
)
def test_errors_carry_clickhouses_code_and_name(client: Any, table: str, sql: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        client.command(sql) if sql.startswith("CREATE") else client.raw_query(sql)
    assert (raised.value.code, raised.value.name) == (code, name)


def test_a_refused_insert_names_its_cause_and_adds_nothing(client: Any, table: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        client.raw_insert("t", ["a"], insert_block=b"1\n2\nx\n", fmt="TSV")
    assert raised.value.code in (27, 72)  # cannot parse input, cannot parse number
    with pytest.raises(DatabaseError) as raised:
        client.raw_insert("t", ["nope"], insert_block=b"1\n", fmt="TSV")
    assert raised.value.code == 16  # no such column in table
    assert client.command("SELECT count() FROM t") == 0


def test_an_unknown_database_and_user_are_refused(clickhouse_url: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        clickhouse_connect.get_client(dsn=f"{clickhouse_url}/nope")
    assert raised.value.code == 81
    with pytest.raises(DatabaseError) as raised:
        clickhouse_connect.get_client(dsn=clickhouse_url, username="someone", password="else")
    assert raised.value.code == 516


def test_the_summary_counts_rows(client: Any, table: str) -> None:
    client.insert("t", [[number] for number in range(1000)], column_names=["a"])
    summary = client.query("SELECT a FROM t LIMIT 10").summary
    assert (int(summary["read_rows"]), int(summary["result_rows"])) == (1000, 10)
    assert summary["query_id"]


def test_requests_run_in_parallel(client: Any, table: str) -> None:
    def insert_and_count(first: int) -> int:
        client.insert("t", [[first + number] for number in range(500)], column_names=["a"])
        return int(client.command(f"SELECT count() FROM t WHERE a >= {first} AND a < {first} + 500"))

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(insert_and_count, range(0, 40_000, 1000))) == {500}
    assert client.command("SELECT count() FROM t") == 20_000


async def test_the_asynchronous_client_works_too(clickhouse_database: str) -> None:
    client = await clickhouse_connect.get_async_client(dsn=clickhouse_database, autogenerate_session_id=False)
    try:
        assert (await client.query("SELECT {a:String}", parameters={"a": "x"})).result_rows == [("x",)]
    finally:
        await client.close()


def test_nested_arrow_columns_reach_the_tables_of_tokenworth(client: Any) -> None:
    """work_items holds Array(Tuple(...)); workers send such columns as Arrow lists of structs."""
    start = MIGRATION.read_text().index("CREATE TABLE IF NOT EXISTS work_items ")
    ddl = MIGRATION.read_text()[start:].split(";\n", 1)[0]
    client.command(ddl.replace("{on_cluster}", "").replace("{replacing}", "ReplacingMergeTree(version)"))
    columns = {name: kind for name, kind, *_ in rows(client, "DESCRIBE TABLE work_items")}
    at = pa.timestamp("us", "UTC")
    event = {
        "occurred_at": 5,
        "event_id": "e1",
        "kind": "completed",
        "team": "core",
        "item_type": "bug",
        "labels": ["x", "y"],
        "size_milli": 0,
    }
    event |= {"parent_id": "", "link_type": "", "link_value": ""}
    booking = {"at": 7, "kind": "credit", "team": "core", "tool": "cli", "model": "m", "work_class": "core"}
    booking |= dict.fromkeys((name for name in _fields(columns["bookings"]) if name not in booking), 2)
    histories: list[Any] = [[event, event | {"event_id": "e2", "labels": []}], []]
    arrow = pa.table(
        {
            "kpart": pa.array([1, 2], pa.uint16()),
            "tenant": ["acme", "acme"],
            "work_item_id": ["A-1", "A-2"],
            "labels": pa.array([["l"], []], pa.list_(pa.string())),
            "completed_at": pa.array([7, 0], at),
            "history": pa.array(histories, _list_of(event, {"occurred_at": at, "labels": pa.list_(pa.string())})),
            "bookings": pa.array([[booking], []], _list_of(booking, {"at": at})),
            "version": pa.array([3, 3], pa.uint64()),
        }
    )
    assert client.insert_arrow("work_items", arrow, settings={"async_insert": 0}).written_rows == 2
    stored = list(client.query("SELECT * FROM work_items FINAL ORDER BY work_item_id", tz_mode="aware").named_results())
    assert stored[0]["history"] == [
        _at(event, "occurred_at"),
        _at(event | {"event_id": "e2", "labels": []}, "occurred_at"),
    ]
    assert stored[0]["bookings"] == [_at(booking, "at")]
    assert (stored[0]["completed_at"], stored[0]["labels"]) == (EPOCH + timedelta(microseconds=7), ["l"])
    assert (stored[1]["history"], stored[1]["bookings"]) == ([], [])


def _fields(kind: str) -> list[str]:
    inner = kind.removeprefix("Array(Tuple(").removesuffix("))")
    return [field.split()[0] for field in inner.split(",") if len(field.split()) > 1]


def _list_of(example: dict[str, Any], types: dict[str, pa.DataType]) -> pa.DataType:
    plain: dict[type, pa.DataType] = {str: pa.string(), int: pa.int64()}
    fields: list[pa.Field[Any]] = [
        pa.field(name, types.get(name) or plain[type(value)]) for name, value in example.items()
    ]
    return pa.list_(pa.struct(fields))


def _at(row: dict[str, Any], name: str) -> dict[str, Any]:
    return row | {name: EPOCH + timedelta(microseconds=row[name])}
