"""Where a statement ends and its data begin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.local.statement import parse


@pytest.mark.parametrize(
    ("text", "kind", "format_name"),
    [
        ("SELECT 1", "SELECT", ""),
        ("select 1 format JSON", "SELECT", "JSON"),
        ("select 1\n FORMAT Native;", "SELECT", "Native"),
        ("SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "SELECT", "CSV"),
        ("SELECT format FROM t", "SELECT", ""),
        ("SELECT 'x FORMAT CSV'", "SELECT", ""),
        ("SELECT 1 -- FORMAT CSV", "SELECT", ""),
        ("/* FORMAT CSV */ WITH 1 AS x SELECT x", "WITH", ""),
        ("(SELECT 1 FORMAT TSV)", "", ""),
        ("SHOW TABLES FORMAT TSV", "SHOW", "TSV"),
        ("create table t (format String) engine = Memory", "CREATE", ""),
    ],
)
def test_kind_and_format(text: str, kind: str, format_name: str) -> None:
    statement = parse(text.encode())
    assert (statement.kind, statement.format, statement.data, statement.sql) == (kind, format_name, None, text)


@pytest.mark.parametrize(
    ("text", "from_file", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t  FROM INFILE 'f'  FORMAT CSV", b"1,2\n"),
        (
            b"insert into db.t (a, `format`) FORMAT Arrow \r\n\n\x00\xff",
            "insert into db.t (a, `format`)  FROM INFILE 'f'  FORMAT Arrow",
            b"\n\x00\xff",
        ),
        (
            b"INSERT INTO t (a) SETTINGS x = 1 FORMAT TSV",
            "INSERT INTO t (a)  FROM INFILE 'f' SETTINGS x = 1  FORMAT TSV",
            b"",
        ),
        (
            b"INSERT INTO TABLE values VALUES (1, 'a;b')",
            "INSERT INTO TABLE values  FROM INFILE 'f'  FORMAT Values",
            b"(1, 'a;b')",
        ),
        (b"INSERT INTO db.settings FORMAT TSV 1", "INSERT INTO db.settings  FROM INFILE 'f'  FORMAT TSV", b"1"),
        (b"INSERT INTO `FORMAT x` FORMAT TSV 1", "INSERT INTO `FORMAT x`  FROM INFILE 'f'  FORMAT TSV", b"1"),
        (
            b"INSERT /* VALUES */ INTO t -- FORMAT X\nFORMAT TSV 1",
            "INSERT /* VALUES */ INTO t -- FORMAT X\n FROM INFILE 'f'  FORMAT TSV",
            b"1",
        ),
        (
            b"INSERT INTO FUNCTION null('a Int8') FORMAT TSV 1",
            "INSERT INTO FUNCTION null('a Int8')  FROM INFILE 'f'  FORMAT TSV",
            b"1",
        ),
    ],
)
def test_an_insert_is_cut_at_its_data(text: bytes, from_file: str, data: bytes) -> None:
    statement = parse(text)
    assert statement.data == data
    assert statement.from_file("f") == from_file


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t SELECT 1 FORMAT CSV",
        "INSERT INTO t WITH 1 AS x SELECT x",
        "INSERT INTO t (a) FROM INFILE 'x' FORMAT CSV",
        "INSERT INTO t",
    ],
)
def test_an_insert_without_data_stays_whole(text: str) -> None:
    assert parse(text.encode()).data is None


@pytest.mark.parametrize(
    ("text", "compound"),
    [
        ("SELECT 1;", False),
        ("SELECT 1;;\n", False),
        ("SELECT ';'; -- end", False),
        ("SELECT 1; SELECT 2", True),
        ("SELECT (1; SELECT 2", False),
    ],
)
def test_a_second_statement_is_noticed(text: str, compound: bool) -> None:
    assert parse(text.encode()).compound is compound


@given(st.binary(max_size=200))
def test_data_arrive_byte_for_byte(data: bytes) -> None:
    statement = parse(b"INSERT INTO t (a, b) FORMAT RowBinary\n" + data)
    assert statement.data == data


@given(st.text(alphabet="SELECTFORMATVALUESINTO '\"`;()-#/*\\$\nax1", max_size=60))
def test_no_text_is_too_odd_to_cut(text: str) -> None:
    statement = parse(text.encode())
    assert text.startswith(statement.sql)
