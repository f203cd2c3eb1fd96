"""What the raw rows below a position give, recomputed by ClickHouse alone into a scratch database, and compared with what is stored.

All logic is SQL (queries/verify/); nothing here knows a measure or a rule. Work goes in chunks of partitions and key hashes, and every
statement spills to disk before it reaches the memory cap.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.store.client import Client, quoted
from streams.store.migrations import split
from streams.store.queries import query

KEEP: Final = 10_000
"""Differing keys of a table that one comparison hands out. What is kept is compared again at a later position, and named."""

MAX_PARTITION: Final = 65_535

FAMILIES: Final = (("1h", 3600, 300), ("24h", 86_400, 3600), ("7d", 604_800, 21_600), ("28d", 2_419_200, 86_400))
"""Window families: size, its seconds, and those of the slide."""

_OUTCOME: Final = f"""countIf(is_compared) AS compared,
    countIf(is_different AND NOT is_moved) AS different,
    countIf(is_different AND is_moved) AS moved,
    groupArraySortedIf({KEEP})(key, is_different AND NOT is_moved) AS keys,
    groupArraySortedIf({KEEP})(key, is_different AND is_moved) AS moved_keys"""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One comparison: keys compared, keys that differ, and of differing keys those that a flush beyond the position wrote (`moved`).

    `keys` and `moved_keys` are the first KEEP of them in order.
    """

    rows: int
    different: int
    moved: int
    keys: tuple[Key, ...]
    moved_keys: tuple[Key, ...]

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.rows + other.rows,
            self.different + other.different,
            self.moved + other.moved,
            tuple(sorted((*self.keys, *other.keys)))[:KEEP],
            tuple(sorted((*self.moved_keys, *other.moved_keys)))[:KEEP],
        )


@dataclass(frozen=True, slots=True)
class Scope:
    """Which keys to recompute and compare, as SQL conditions: by event id, by work item, by pane, by day, by tenant."""

    identities: str = "1"
    items: str = "1"
    panes: str = "1"
    days: str = "1"
    line_days: str = "1"
    view_days: str = "1"
    tenants: str = "1"


EVERYTHING: Final = Scope()


class Recomputed:
    """A scratch database beside the client's own. `with Recomputed(...) as run:` drops it at the end."""

    def __init__(self, client: Client, *, rows_per_chunk: int, max_memory_bytes: int) -> None:
        self.client, self.rows_per_chunk = client, rows_per_chunk
        self.scratch = quoted(f"{client.database}_verify_{secrets.token_hex(4)}")
        self.settings = {
            "max_memory_usage": max_memory_bytes,
            "max_bytes_before_external_group_by": max_memory_bytes // 3,
            "max_bytes_before_external_sort": max_memory_bytes // 3,
            "do_not_merge_across_partitions_select_final": 1,
            "session_timezone": "UTC",
        }
        # Odd factors: modulo 2^64 no difference of a single measure can vanish.
        factors = [secrets.randbits(64) - (1 << 63) | 1 for _ in range(44)]
        self.parameters: dict[str, Any] = {
            "factors": factors[:43],
            "line_factors": factors[:13],
            "people_factor": factors[43],
        }

    def __enter__(self) -> Self:
        for (left_behind,) in self._rows("left_behind", prefix=f"{self.client.database}_verify_"):
            self.client.command(f"DROP DATABASE IF EXISTS {quoted(left_behind)} SYNC")
        self.client.command(f"CREATE DATABASE {self.scratch}")
        try:
            for statement in split(self._text(query("verify/scratch"))):
                self.client.command(statement)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.command(f"DROP DATABASE IF EXISTS {self.scratch} SYNC")

    # --- positions ------------------------------------------------------------------------------------------------------------------

    def fix_positions(self) -> None:
        """Take the stored positions as those below which raw rows count, and forget what was recomputed at others."""
        self._empty("positions", "ends", "prices", "lines", "panes", "pane_actors", "items", "bookings")
        self._run("positions")
        self._run("ends")
        self._run("prices")
        rows = self.client.query(
            "SELECT toInt64(intDiv(10000 * argMax(input_price, effective_from) + 500000, 1000000)) FROM price_book FINAL WHERE model = '*'"
        ).result_rows
        self.parameters["assisted_cost"] = rows[0][0]

    def window_progress(self) -> tuple[int, int, int, bool]:
        """Partitions of the window agent's input, those that have not seen the fixed positions, its watermark (us), and whether windows exist."""
        parts, behind, watermark_us, windows = self._rows("window_progress")[0]
        return parts, behind, watermark_us, bool(windows)

    def activity(self) -> object:
        """A value that changes whenever a worker has stored something."""
        return self._rows("activity")

    # --- partitions -----------------------------------------------------------------------------------------------------------------

    def chunks(self) -> Iterator[Scope]:
        """Scopes that together are everything, also partitions without raw rows; each of about `rows_per_chunk` raw rows at most."""
        first, rows = 0, 0
        sizes = self._rows("sizes")
        for (_, size), (following, size_of_following) in pairwise(sizes):
            rows += size
            if rows + size_of_following > self.rows_per_chunk:
                yield from self._parts(first, following - 1, rows)
                first, rows = following, 0
        yield from self._parts(first, MAX_PARTITION, rows + (sizes[-1][1] if sizes else 0))

    def _parts(self, first: int, last: int, rows: int) -> Iterator[Scope]:
        """The partitions first..last in as many parts as their rows need."""
        within = f"kpart BETWEEN {first} AND {last}"
        parts = max(-(-rows // self.rows_per_chunk), 1)
        for part in range(parts):

            def share(columns: str, part: int = part) -> str:
                return within if parts == 1 else f"{within} AND modulo(cityHash64({columns}), {parts}) = {part}"

            yield Scope(
                identities=share("tenant, event_id"),
                items=share("tenant, work_item_id"),
                panes=share("tenant, team, toDateTime(pane_start, 'UTC')"),
            )

    def find_repeats(self, scopes: Iterable[Scope]) -> None:
        """Raw rows that must not count, because a row of lower offset has their identity."""
        self._empty("repeats")
        for scope in scopes:
            self._find_repeats(scope)

    def _find_repeats(self, scope: Scope) -> None:
        self._run("repeats", scope=scope.identities, raw="usage_events", end="usage_end", topic=USAGE_TOPIC)
        self._run("repeats", scope=scope.identities, raw="work_item_events", end="items_end", topic=ITEMS_TOPIC)

    def compare_usage(self, scope: Scope) -> Iterator[tuple[str, Outcome]]:
        """Recompute lines, panes and actors of a scope; yields (table, outcome) as each is compared.

        Month by month: a query with FINAL holds some megabytes of every part that it may read, however few rows it needs.
        """
        months = [month for (month,) in self._rows("months")]
        for table, compared, condition in (
            ("lines", "work_item_usage", scope.items),
            ("panes", "panes", scope.panes),
            ("pane_actors", "pane_actors", scope.panes),
        ):
            for month in months:
                self._run(table, scope=f"{condition} AND _partition_id = '{month}'")
            yield compared, self._compare(f"compare_{table}", scope=condition)

    def compare_items(self, scope: Scope) -> Iterator[tuple[str, Outcome]]:
        """Fold the items of a scope, whose lines are there already."""
        self._empty("histories", "matches", "credits")
        for step in ("histories", "matches", "credits", "bookings", "items"):
            self._run(step, scope=scope.items)
        yield "work_items", self._compare("compare_items", scope=scope.items)

    # --- across partitions ----------------------------------------------------------------------------------------------------------

    def compare_records(self) -> Iterator[tuple[str, Outcome]]:
        """The three-way count of each partition, and identities that were accepted twice."""
        yield "usage_events", self._compare("compare_raw", topic=USAGE_TOPIC)
        yield "work_item_events", self._compare("compare_raw", topic=ITEMS_TOPIC)
        yield "checkpoints", self._compare("compare_counts")

    def compare_fates(self, scope: Scope) -> Iterator[tuple[str, Outcome]]:
        """Fates of spend, from the lines, items and panes of a scope."""
        self._empty("moved_days")
        self._run("moved_days")
        conditions = {"line_scope": scope.line_days, "pane_scope": scope.days, "day_scope": scope.view_days}
        yield "v_spend_fate_daily", self._compare("compare_fates", **conditions)
        yield "fates of a day", self._compare("compare_fate_sums", day_scope=scope.view_days)

    def compare_windows(self, scope: Scope, final_until_s: int) -> Iterator[tuple[str, Outcome]]:
        """Windows that end at or before `final_until_s` (seconds since 1970), from all panes and bookings of a scope's tenants."""
        self._empty("members", "groups", "slots", "presence")
        for step in ("members", "groups", "slots", "presence"):
            self._run(step, scope=scope.tenants)
        counted = f"SELECT (SELECT count() FROM {self.scratch}.slots) + (SELECT count() FROM {self.scratch}.presence)"
        rows = self.client.query(counted).result_rows[0][0]
        buckets = -(-int(rows) // self.rows_per_chunk) or 1
        for size, size_s, slide_s in FAMILIES:
            for bucket in range(buckets):
                family = {"size": size, "size_s": size_s, "slide_s": slide_s, "buckets": buckets, "bucket": bucket}
                yield (
                    "value_windows",
                    self._compare("compare_windows", scope=scope.tenants, final_until=final_until_s, **family),
                )

    # --- again ----------------------------------------------------------------------------------------------------------------------

    def want(self, keys: Mapping[str, Iterable[Key]]) -> Scope:
        """The scope of keys that earlier comparisons handed out, by table."""
        items = {key[1:3] for table in ("work_item_usage", "work_items") for key in keys.get(table, ())}
        panes = {(key[1], key[5]) for table in ("panes", "pane_actors") for key in keys.get(table, ())}
        days = {(key[0], key[2]) for key in keys.get("v_spend_fate_daily", ())} | set(keys.get("fates of a day", ()))
        tenants = {key[:1] for key in keys.get("value_windows", ())}
        self._empty("wanted_items", "wanted_panes", "wanted_days", "wanted_tenants")
        for name, rows in (("items", items), ("panes", panes), ("days", days), ("tenants", tenants)):
            self._want(name, rows)
        self._run("wanted_items")
        of_tenant = f"tenant IN (SELECT tenant FROM {self.scratch}.wanted_tenants)"
        wanted_day = f"SELECT tenant, day FROM {self.scratch}.wanted_days"
        wanted_pane = f"SELECT tenant, pane_start FROM {self.scratch}.wanted_panes"
        return Scope(
            items=f"({of_tenant} OR (tenant, work_item_id) IN (SELECT tenant, work_item_id FROM {self.scratch}.wanted_items))",
            panes=f"({of_tenant} OR (tenant, toDate(pane_start)) IN ({wanted_day}) OR (tenant, toDateTime(pane_start, 'UTC')) IN ({wanted_pane}))",
            days=f"(tenant, toDate(pane_start)) IN ({wanted_day})",
            line_days=f"(tenant, usage_day) IN ({wanted_day})",
            view_days=f"(tenant, day) IN ({wanted_day})",
            tenants=of_tenant,
        )

    def _want(self, name: str, rows: Iterable[Key]) -> None:
        listed = sorted(rows)
        if listed:
            values = {f"c{i}": [row[i] for row in listed] for i in range(len(listed[0]))}
            columns = ", ".join(f"c.{i + 1}" for i in range(len(values)))
            arrays = ", ".join(f"{{{column}:Array(String)}}" for column in values)
            self.client.command(
                f"INSERT INTO {self.scratch}.wanted_{name} SELECT {columns} FROM (SELECT arrayJoin(arrayZip({arrays})) AS c)",
                values,
                settings=self.settings,
            )

    # --- statements -----------------------------------------------------------------------------------------------------------------

    def _empty(self, *tables: str) -> None:
        for table in tables:
            self.client.command(f"TRUNCATE TABLE {self.scratch}.{table}")

    def _text(self, text: str, names: Mapping[str, str] | None = None) -> str:
        texts = {"usage": query("verify/usage"), "digest": query("verify/item_digest"), **(names or {})}
        for name, value in (*texts.items(), ("outcome", _OUTCOME), ("keep", str(KEEP)), ("scratch", self.scratch)):
            text = text.replace("{" + name + "}", value)
        return text.replace("{scope}", (names or {}).get("scope", "1"))

    def _statement(self, name: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        names = {
            k: v for k, v in given.items() if k in ("scope", "line_scope", "pane_scope", "day_scope", "raw", "end")
        }
        return self._text(query(f"verify/{name}"), names), self.parameters | {
            k: v for k, v in given.items() if k not in names
        }

    def _run(self, name: str, **given: Any) -> None:
        sql, parameters = self._statement(name, given)
        self.client.command(sql, parameters, settings=self.settings)

    def _rows(self, name: str, **given: Any) -> list[tuple[Any, ...]]:
        sql, parameters = self._statement(name, given)
        return list(self.client.query(sql, parameters, settings=self.settings).result_rows)

    def _compare(self, name: str, **given: Any) -> Outcome:
        rows, different, moved, keys, moved_keys = self._rows(name, **given)[0]
        return Outcome(rows, different, moved, tuple(map(tuple, keys)), tuple(map(tuple, moved_keys)))
