"""Single changes of stored results, each of another row, and the keys under which verify must name them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from streams.store.client import Client
from streams.store.recomputed import Key
from tests.store.right_store import PARTITIONS

COVERING = ("usage_next", "items_next", "version")
WINDOW_KEY = ("tenant", "grouping", "team", "tool", "model", "work_class", "size", "window_end")

KEYS = {
    "work_item_usage": ("kpart", "tenant", "work_item_id", "usage_day", "team", "tool", "model"),
    "work_items": ("kpart", "tenant", "work_item_id"),
    "panes": ("kpart", "tenant", "team", "tool", "model", "pane_start"),
    "pane_actors": ("kpart", "tenant", "team", "tool", "model", "pane_start", "actor_hash"),
    "value_windows": WINDOW_KEY,
}
NOT_COMPARED = {"value_windows": ("status", "revision", "backfill", "watermark", "written_at")}


class Mutation(NamedTuple):
    """`column` of one row becomes another value; `keys` are those of the row before and after, which differ if the column is part of them."""

    table: str
    column: str
    keys: frozenset[Key]


def other_value(column: str, kind: str) -> str:
    """SQL of a value that is not the column's own."""
    if column == "size":
        return "'28d'"
    if kind.startswith(("DateTime64", "DateTime(")):
        return f"{column} + INTERVAL 1 DAY"
    if kind == "Date":
        return f"{column} + 1"
    if "String)" in kind and kind.startswith("Array("):
        return f"arrayPushBack({column}, 'other')"
    if "String" in kind:
        return f"concat({column}, 'other')"
    if column == "kpart":
        return f"toUInt16((kpart + 1) % {PARTITIONS})"
    if column in ("container", "evidence", "value_assisted"):
        return f"1 - {column}"
    return f"{column} + 1"


def changes(client: Client, table: str) -> Iterator[tuple[str, str, str]]:
    """(name, column, SQL of its new value) of every column that verify compares; of nested ones, each field of the first element."""
    columns = client.query(
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY position",
        {"table": table},
    ).result_rows
    for column, kind in columns:
        if column in COVERING or column in NOT_COMPARED.get(table, ()):
            continue
        if kind.startswith("Array(Tuple("):
            for field, field_kind in _fields(kind):
                if (column, field) == ("bookings", "kind"):
                    continue  # says why; only the sums count
                yield f"{column}.{field}", column, _changed_first(column, kind, field, field_kind)
        else:
            yield column, column, other_value(column, kind)


def mutate(client: Client, rng: random.Random, table: str) -> list[Mutation]:
    """Change each column once, in rows that are all different; returns what was changed."""
    shown = _shown(table)
    final = " AND status = 'final'" if table == "value_windows" else ""
    used: set[Key] = set()
    done = []
    candidates: dict[str, list[Key]] = {}
    for name, column, value in changes(client, table):
        condition = _candidates(table, name) + final
        if condition not in candidates:
            rows = client.query(
                f"SELECT [{shown}] AS key FROM {table} FINAL WHERE {condition} ORDER BY key"
            ).result_rows
            candidates[condition] = [tuple(row[0]) for row in rows]
        found = candidates[condition]
        key = rng.choice([key for key in found if key not in used])
        where = f"[{shown}] = {{key:Array(String)}}"
        row, parameters = f"SELECT * FROM {table} FINAL WHERE {where}", {"key": list(key)}
        keys = frozenset((key,))
        if column in KEYS[table]:
            moved_to = client.query(
                f"SELECT [{shown}] FROM (SELECT * REPLACE ({value} AS {column}) FROM ({row}))", parameters
            ).result_rows
            keys |= {tuple(moved_to[0][0])}
        used |= keys
        replacing = ", version + 1 AS version" if len(keys) == 1 else ""
        client.command(
            f"INSERT INTO {table} SELECT * REPLACE ({value} AS {column}{replacing}) FROM ({row})", parameters
        )
        if len(keys) > 1:
            client.command(f"ALTER TABLE {table} DELETE WHERE {where}", parameters, settings={"mutations_sync": 2})
        done.append(Mutation(table, name, keys))
    return done


def _candidates(table: str, name: str) -> str:
    """Rows in which the change can be seen: a booking of nothing is none, wherever it stands."""
    if table == "value_windows":
        # No 28d window ends at 5 o'clock: the changed row replaces no other.
        return "requests != 0" + (" AND toHour(window_end) = 5" if name == "size" else "")
    if not name.startswith("bookings."):
        return "1"
    nested = name.split(".")[1]
    if nested in ("at", "team", "tool", "model", "work_class"):
        return "notEmpty(bookings) AND bookings[1].value_credited_milli + bookings[1].items_canceled + bookings[1].items_completed > 0"
    return "notEmpty(bookings)"


def _fields(kind: str) -> list[tuple[str, str]]:
    inner = kind.removeprefix("Array(Tuple(").removesuffix("))")
    parts, depth, start = [], 0, 0
    for i, char in enumerate(inner + ","):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(inner[start:i].strip())
            start = i + 1
    return [(name, field_kind) for name, field_kind in (part.split(" ", 1) for part in parts)]


def _changed_first(column: str, kind: str, field: str, field_kind: str) -> str:
    names = [name for name, _ in _fields(kind)]
    values = ", ".join(other_value(f"e.{name}", field_kind) if name == field else f"e.{name}" for name in names)
    element = kind.removeprefix("Array(").removesuffix(")").replace("'", "\\'")
    return f"arrayMap((e, i) -> if(i = 1, CAST(({values}), '{element}'), e), {column}, arrayEnumerate({column}))"


def _shown(table: str) -> str:
    """SQL of a row's key as verify names it."""
    return ", ".join(
        "toString(toDateTime(pane_start, 'UTC'))" if name == "pane_start" else f"toString({name})"
        for name in KEYS[table]
    )
