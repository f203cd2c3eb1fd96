"""Migrations are applied once, in order, never silently changed; a cluster gets replicated tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from streams.errors import SetupError
from streams.store.client import Client, connect
from streams.store.migrations import Migration, migrate, shipped, split

ONE = Migration(
    1,
    "one",
    "-- A table; of numbers;\nCREATE TABLE IF NOT EXISTS a {on_cluster} (x UInt8, version UInt64)\nENGINE = {replacing}\nORDER BY x;\n",
)
TWO = Migration(
    2, "two", "CREATE TABLE IF NOT EXISTS b (x UInt8) ENGINE = {merge_tree} ORDER BY x;\nINSERT INTO b VALUES (1);\n"
)


@pytest.fixture
def client(clickhouse_database: str) -> Iterator[Client]:
    with closing(connect(clickhouse_database)) as found:
        yield found


def test_each_is_applied_once_and_in_order(client: Client) -> None:
    assert migrate(client, migrations=[TWO, ONE]) == ["0001_one", "0002_two"]
    assert migrate(client, migrations=[ONE, TWO]) == []
    assert client.query("SELECT x FROM b").result_rows == [(1,)]
    assert client.query("SELECT number, name, checksum FROM migrations ORDER BY number").result_rows == [
        (1, "one", ONE.checksum),
        (2, "two", TWO.checksum),
    ]


def test_the_shipped_ones_make_every_table_with_comments(client: Client) -> None:
    assert migrate(client) == [f"{m.number:04d}_{m.name}" for m in shipped()]
    tables = {name for (name,) in client.query("SHOW TABLES").result_rows}
    assert {
        "usage_events",
        "work_items",
        "value_windows",
        "checkpoints",
        "v_value_windows",
        "v_spend_fate_daily",
        "v_work_items",
        "v_alerts",
    } <= tables


def test_a_change_of_an_applied_file_is_an_error(client: Client) -> None:
    migrate(client, migrations=[ONE])
    with pytest.raises(SetupError, match="0001_one has changed"):
        migrate(client, migrations=[ONE.__class__(1, "one", ONE.text + "\n")])


def test_a_newer_database_is_an_error(client: Client) -> None:
    migrate(client, migrations=[ONE, TWO])
    with pytest.raises(SetupError, match="has migration 0002_two, which this version lacks"):
        migrate(client, migrations=[ONE])


def test_a_number_is_given_once(client: Client) -> None:
    with pytest.raises(SetupError, match="same number"):
        migrate(client, migrations=[ONE, Migration(1, "other", "")])


def test_a_failure_half_way_is_taken_up_again(client: Client) -> None:
    broken = Migration(2, "two", TWO.text + "CREATE TABLE c (x Nonsense) ENGINE = {merge_tree} ORDER BY x;\n")
    with pytest.raises(SetupError, match=r"0002_two: .*Nonsense"):
        migrate(client, migrations=[ONE, broken])
    assert client.query("SELECT count() FROM migrations").result_rows == [(1,)]
    assert migrate(client, migrations=[ONE, TWO]) == ["0002_two"]


def test_statements_end_with_a_semicolon_at_the_end_of_a_line() -> None:
    assert split("-- note;\nSELECT ';' AS a,\n  1;  \n\nSELECT 2;\n-- the end;") == [
        "-- note;\nSELECT ';' AS a,\n  1",
        "SELECT 2",
    ]
    with pytest.raises(SetupError, match="0003_open"):
        Migration(3, "open", "SELECT 1;\nSELECT 2").statements()


class Recorder:
    """A client that only writes down what it is told."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def command(self, text: str, parameters: object = None) -> None:
        self.commands.append(text)

    def query(self, _: str) -> Recorder:
        return self

    result_rows: tuple[()] = ()


def test_a_cluster_gets_replicated_tables_on_every_server() -> None:
    recorder = Recorder()
    migrate(
        recorder,
        "main",
        [
            ONE,
            Migration(
                2,
                "plain",
                "CREATE TABLE p {on_cluster} ENGINE = {replacing_plain};\nCREATE TABLE m ENGINE = {merge_tree};\n",
            ),
        ],
    )
    assert "CREATE TABLE IF NOT EXISTS migrations ON CLUSTER `main`" in recorder.commands[0]
    assert "ENGINE = ReplicatedReplacingMergeTree\n" in recorder.commands[0]
    assert "a ON CLUSTER `main` (x" in recorder.commands[1]
    assert "ENGINE = ReplicatedReplacingMergeTree(version)" in recorder.commands[1]
    assert recorder.commands[3:5] == [
        "CREATE TABLE p ON CLUSTER `main` ENGINE = ReplicatedReplacingMergeTree",
        "CREATE TABLE m ENGINE = ReplicatedMergeTree",
    ]


def test_no_placeholder_is_left_in_the_shipped_ones() -> None:
    for cluster in ("", "main"):
        recorder = Recorder()
        migrate(recorder, cluster)
        assert [
            text
            for text in recorder.commands
            if "{on_cluster}" in text or "{replacing" in text or "{merge_tree}" in text
        ] == []
        created = [text for text in recorder.commands if "\nCREATE" in f"\n{text}"]
        assert all(("ON CLUSTER `main`" in text) == bool(cluster) for text in created)
