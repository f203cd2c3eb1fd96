"""Connecting: one clear error that names the setting and the remedy; nothing is created on the way."""

from __future__ import annotations

from contextlib import closing
from uuid import uuid4

import pytest

from streams.errors import ConfigError, StoreUnavailable
from streams.local.process import reserve_port
from streams.store.client import SETTING, connect, ensure_database


def test_inserts_are_synchronous_and_have_no_session(clickhouse_database: str) -> None:
    with closing(connect(clickhouse_database)) as client:
        assert client.query("SELECT getSetting('async_insert')").result_rows == [(False,)]
        client.command("CREATE TEMPORARY TABLE passing (x UInt8)")
        assert client.query("SELECT count() FROM system.tables WHERE name = 'passing'").result_rows == [(0,)]


def test_an_unknown_database_is_not_created(clickhouse_url: str) -> None:
    url = f"{clickhouse_url}/absent"
    with pytest.raises(StoreUnavailable, match="no database 'absent'") as caught:
        connect(url)
    assert "tokenworth init" in caught.value.remedy
    with pytest.raises(StoreUnavailable):
        connect(url)


def test_ensure_database_says_whether_it_was_missing(clickhouse_url: str) -> None:
    name = f"made-{uuid4().hex}"
    url = f"{clickhouse_url}/{name}"
    assert ensure_database(url)
    assert not ensure_database(url)
    with closing(connect(url)) as client:
        assert client.query("SELECT currentDatabase()").result_rows == [(name,)]
        client.command(f"DROP DATABASE `{name}`")


def test_nobody_answers() -> None:
    port = reserve_port("test", 0)
    for call in (connect, ensure_database):
        with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port}: nobody answers") as caught:
            call(f"http://127.0.0.1:{port}/x")
        assert SETTING in caught.value.remedy


def test_a_refused_user_is_told_without_the_password(clickhouse_url: str) -> None:
    url = clickhouse_url.replace("://", "://who:secret@") + "/default"
    with pytest.raises(StoreUnavailable, match="refuses user 'who'") as caught:
        connect(url)
    assert "secret" not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8123/x",
        "ftp://h/x",
        "http://h:8123",
        "http://h:8123/",
        "http://h/a/b",
        "http://h:port/x",
        "http://u:secret@h",
    ],
)
def test_what_is_no_url_of_a_database(url: str) -> None:
    with pytest.raises(ConfigError, match=SETTING) as caught:
        connect(url)
    assert "host:port/database" in caught.value.remedy
    assert "secret" not in str(caught.value)
