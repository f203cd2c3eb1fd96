"""Migrations: the numbered .sql files beside this module, each applied once, in order.

A statement ends with ';' at the end of a line. A file may be applied again after a failure half-way, so each statement must allow that
(IF NOT EXISTS, OR REPLACE). Once applied, a file never changes: the next change is the next number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.errors import SetupError
from streams.store.client import Client, quoted

_NAME: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_SINGLE: Final = {
    "{replacing}": "ReplacingMergeTree(version)",
    "{replacing_plain}": "ReplacingMergeTree",
    "{merge_tree}": "MergeTree",
}

_APPLIED: Final = """
CREATE TABLE IF NOT EXISTS migrations {on_cluster} (
    number UInt32,
    name String,
    checksum String COMMENT 'SHA-256 of the file',
    applied_at DateTime64(6, 'UTC')
) ENGINE = {replacing_plain}
ORDER BY number
COMMENT 'One row is a migration that this database has.'
"""


@dataclass(frozen=True, order=True)
class Migration:
    """One file. `text` holds placeholders."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self) -> list[str]:
        """The statements, each with the comment above it. Raises SetupError when the last one is not ended."""
        try:
            return split(self.text)
        except ValueError as error:
            raise SetupError(
                f"migration {self.number:04d}_{self.name}: {error}", remedy="end its last statement with ';'"
            ) from error


def split(text: str) -> list[str]:
    """The statements of SQL text, each with the comment above it; ';' at the end of a line ends one. Raises ValueError when the last has none."""
    found, lines = [], []
    for line in text.splitlines():
        lines.append(line)
        if line.rstrip().endswith(";") and not line.lstrip().startswith("--"):
            found.append("\n".join(lines).strip().removesuffix(";"))
            lines = []
    if any(line.strip() and not line.lstrip().startswith("--") for line in lines):
        raise ValueError("the text ends within a statement")
    return found


def shipped() -> list[Migration]:
    """The migrations of this package, in order."""
    folder = files("streams.store").joinpath("migrations")
    named = ((_NAME.fullmatch(file.name), file) for file in folder.iterdir() if file.name.endswith(".sql"))
    found = [Migration(int(m[1]), m[2], file.read_text(encoding="utf-8")) for m, file in named if m]
    return sorted(found)


def migrate(client: Client, cluster: str = "", migrations: Iterable[Migration] | None = None) -> list[str]:
    """Apply what the client's database lacks; returns the names of what was applied, in order.

    With `cluster`, tables are replicated and created on each of its servers. Raises SetupError when an applied file has changed since, when
    the database is newer than this package, or when ClickHouse refuses a statement: what came before it stays, and the next run goes on.
    """
    known = sorted(shipped() if migrations is None else migrations)
    client.command(_filled(_APPLIED, cluster))
    applied = {
        number: (name, checksum)
        for number, name, checksum in client.query("SELECT number, name, checksum FROM migrations FINAL").result_rows
    }
    _check_history(known, applied)
    done = []
    for migration in known:
        if migration.number in applied:
            continue
        for statement in migration.statements():
            try:
                client.command(_filled(statement, cluster))
            except ClickHouseError as error:
                raise SetupError(
                    f"migration {migration.number:04d}_{migration.name}: {error}",
                    remedy="see the message; then run: tokenworth init",
                ) from error
        client.command(
            "INSERT INTO migrations SELECT {number:UInt32}, {name:String}, {checksum:String}, now64(6)",
            {"number": migration.number, "name": migration.name, "checksum": migration.checksum},
        )
        done.append(f"{migration.number:04d}_{migration.name}")
    return done


def _check_history(known: list[Migration], applied: dict[int, tuple[str, str]]) -> None:
    by_number = {migration.number: migration for migration in known}
    if len(by_number) < len(known):
        raise SetupError("two migrations have the same number", remedy="number each file once")
    for number, (name, checksum) in applied.items():
        migration = by_number.get(number)
        if migration is None:
            raise SetupError(
                f"the database has migration {number:04d}_{name}, which this version lacks",
                remedy="install the newer tokenworth",
            )
        if migration.checksum != checksum:
            raise SetupError(
                f"migration {number:04d}_{name} has changed since it was applied",
                remedy="restore the file, and put the change into a new one",
            )


def _filled(statement: str, cluster: str) -> str:
    """The statement for one server, or for every server of a cluster. Other braces are ClickHouse's own."""
    statement = statement.replace("{on_cluster}", f"ON CLUSTER {quoted(cluster)}" if cluster else "")
    for placeholder, engine in _SINGLE.items():
        statement = statement.replace(placeholder, "Replicated" + engine if cluster else engine)
    return statement
