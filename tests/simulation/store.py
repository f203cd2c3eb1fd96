"""The store in memory with the tables and queries of the window and alert agents, prices and rules; and its backups."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import polars as pl
import pyarrow as pa

from streams.detect.alert import alert_rows
from streams.join.keys import PANE_SCHEMA
from streams.store.rows import TIME
from streams.value.rules import Rules
from streams.windows.families import WINDOW_KEY, WINDOW_SCHEMA
from streams.windows.measures import DAY_US, OUTCOME_MEASURES, PANE_US, USAGE_MEASURES
from streams.windows.state import NO_ACTOR
from streams.windows.updates import WINDOW_COLUMNS
from tests.oracle.value import SAMPLE_PRICES
from tests.store.memory import HOUR_US, IDENTITY, MemoryStore, Row, plain

KEYS = {
    "window_checkpoints": ("upart",),
    "alert_checkpoints": ("wpart",),
    "alerts": ("fingerprint", "started_at"),
}
RESULTS = ("work_item_usage", "work_items", "panes", "pane_actors")
_PLACE = {"kpart": pl.UInt16, "tenant": pl.String, "team": pl.String, "tool": pl.String, "model": pl.String}
_SERIES = {**dict.fromkeys(("tenant", "team", "tool", "model"), pl.String), "bucket": pl.Int64}
_POSITIONS = pl.List(pl.List(pl.Int64))
_ALERTS = {name: pl.Int64 if isinstance(kind, pl.Datetime) else kind for name, kind in alert_rows([]).schema.items()}
_WINDOWS = {**{name: kind for name, kind in WINDOW_SCHEMA.items() if name != "watermark"}, "window_end": pl.Int64}
_STORED_WINDOWS: dict[str, Any] = {**WINDOW_SCHEMA, "written_at": TIME, "version": pl.UInt64}

COLUMNS: dict[str, dict[str, Any]] = {
    "windows/tenants": {"tenant": pl.String},
    "windows/panes": {**_PLACE, "pane_start": pl.Int64, **dict.fromkeys(USAGE_MEASURES, pl.Int64), "version": pl.UInt64},
    "windows/actors": {**_PLACE, "pane_start": pl.Int64, "actor_hash": pl.UInt64},
    "windows/bookings": {
        "kpart": pl.UInt16, **dict.fromkeys(("tenant", "work_item_id"), pl.String), "at": pl.Int64,
        **dict.fromkeys(("kind", "team", "tool", "model", "work_class"), pl.String), "version": pl.UInt64,
        **dict.fromkeys(OUTCOME_MEASURES, pl.Int64),
    },
    "windows/versions": {"kpart": pl.Int64, "version": pl.Int64},
    "windows/usage_sums": {**_SERIES, **dict.fromkeys(USAGE_MEASURES, pl.Int64)},
    "windows/outcome_sums": {**_SERIES, "work_class": pl.String, **dict.fromkeys(OUTCOME_MEASURES, pl.Int64)},
    "windows/actors_seen": {**_SERIES, "actor_hash": pl.UInt64},
    "windows/checkpoints": {"upart": pl.UInt16, "version": pl.Int64, "next_offset": pl.Int64, "watermark": pl.Int64, "positions": _POSITIONS},
    "windows/previous": _WINDOWS,
    "windows/shown": {**{name: _WINDOWS[name] for name in WINDOW_KEY}, "backfill": pl.UInt8, "watermark": pl.Int64},
    "rebuild/pending": {
        **dict.fromkeys(("kpart", "requested_at", "from_us", "to_us", "epoch", "done", "total"), pl.Int64), "cursor": pl.List(pl.String),
    },
    "rebuild/items": {"tenant": pl.String, "work_item_id": pl.String},
    "rebuild/hours": {"hour": pl.Int64},
    "rebuild/panes": PANE_SCHEMA,
    "alerts/checkpoint": {"watermark": pl.Int64},
    "alerts/history": {name: _WINDOWS[name] for name in WINDOW_COLUMNS},
    "alerts/recent": {name: kind for name, kind in _ALERTS.items() if name != "version"},
}  # fmt: skip
"""The columns of each query that its readers use."""

_NOTHING = {name: pl.DataFrame(schema=columns) for name, columns in COLUMNS.items()}
_SETTINGS = {
    "value_rules": pl.DataFrame(Rules.shipped().rows_for_tables(), infer_schema_length=None),
    "price_book": pl.DataFrame([line._asdict() for line in SAMPLE_PRICES]),
}


class SimulatedStore(MemoryStore):
    """ClickHouse. Windows stay columns: there are hundreds of them for each event."""

    def __init__(self) -> None:
        super().__init__()
        self._windows = pl.DataFrame(schema=_STORED_WINDOWS)
        self._new_windows: list[pl.DataFrame] = []

    def insert(self, table: str, rows: pa.Table) -> None:
        if table == "value_windows":
            frame = pl.from_arrow(rows)
            assert isinstance(frame, pl.DataFrame)
            self._new_windows.append(frame.cast(_STORED_WINDOWS).select(list(_STORED_WINDOWS)))  # type: ignore[arg-type]
            return
        key_columns = KEYS.get(table) or IDENTITY[table]
        held = self.tables[table]
        for row in rows.to_pylist():
            found = {name: plain(value) for name, value in row.items()}
            if "occurred_at" in found:
                found["hour"] = found["occurred_at"] // HOUR_US
            key = tuple(found[name] for name in key_columns)
            if key not in held or held[key].get("version", 0) <= found.get("version", 0):
                held[key] = found

    def windows(self) -> pl.DataFrame:
        """The surviving rows of value_windows."""
        if self._new_windows:
            rows = pl.concat([self._windows, *self._new_windows])
            self._windows = rows.sort("version", maintain_order=True).unique(
                WINDOW_KEY, keep="last", maintain_order=True
            )
            self._new_windows = []
        return self._windows

    def read(self, name: str, **parameters: Any) -> pl.DataFrame:
        if name in _SETTINGS:
            return _SETTINGS[name]
        if name not in COLUMNS:
            return super().read(name, **parameters)
        answer = getattr(self, f"_{name.replace('/', '_')}")(**parameters)
        if isinstance(answer, pl.DataFrame):
            return answer
        found = [[row[column] for column in COLUMNS[name]] for row in answer]
        return pl.DataFrame(found, schema=COLUMNS[name], orient="row") if found else _NOTHING[name]

    def backup(self) -> Backup:
        """Everything as it is now."""
        return Backup({table: dict(rows) for table, rows in self.tables.items()}, self.windows())

    def restore(self, backup: Backup) -> None:
        """Everything as it was then."""
        self.tables.clear()
        self.tables.update({table: dict(rows) for table, rows in backup.tables.items()})
        self._windows, self._new_windows = backup.windows, []

    def damage(self, rng: random.Random) -> bool:
        """Some result rows are lost, others wrong or invented; items keep where they are booked: without that nobody could take them from their windows.

        False: there are none.
        """
        found = [(table, key) for table in RESULTS for key in self.tables[table]]
        for table, key in rng.sample(found, min(len(found), rng.choice((1, 3, 10)))):
            row = self.tables[table].pop(key)
            if table == "work_items":
                self.tables[table][key] = row | {"history": [], "state": "canceled", "value_milli": 7}
            elif "requests" in row and rng.random() < 0.5:
                self.tables[table][key] = row | {"requests": row["requests"] + 5}
        if (items := [row for row in self.rows("work_items") if row["history"]]) and rng.random() < 0.5:
            invented = rng.choice(items) | {"work_item_id": "nobody's", "bookings": []}
            self.tables["work_items"][tuple(invented[name] for name in IDENTITY["work_items"])] = invented
        return bool(found)

    # --- windows --------------------------------------------------------------------------------------------------------------------

    def _of_tenants(self, table: str, tenants: list[str]) -> list[Row]:
        return [row for row in self.rows(table) if row["tenant"] in tenants]

    def _windows_tenants(self) -> Iterable[Row]:
        names = {row["tenant"] for table in ("panes", "work_items") for row in self.rows(table)}
        return [{"tenant": name} for name in sorted(names)]

    def _windows_panes(self, tenants: list[str], since: int) -> Iterable[Row]:
        return [row for row in self._of_tenants("panes", tenants) if row["pane_start"] >= since]

    def _windows_actors(self, tenants: list[str], since: int) -> Iterable[Row]:
        return [row for row in self._of_tenants("pane_actors", tenants) if row["pane_start"] >= since]

    def _windows_bookings(self, tenants: list[str], since: int) -> Iterable[Row]:
        return [
            {**booking, **{name: row[name] for name in ("kpart", "tenant", "work_item_id", "version")}}
            for row in self._of_tenants("work_items", tenants)
            if any(booking["at"] >= since for booking in row["bookings"])
            for booking in row["bookings"]
        ]

    def _windows_versions(self) -> Iterable[Row]:
        return self.rows("checkpoints")

    def _windows_usage_sums(self, tenants: list[str], slide_us: int, buckets: list[int], **_: int) -> pl.DataFrame:
        rows = ({**row, "bucket": row["pane_start"] // slide_us} for row in self._of_tenants("panes", tenants))
        return _summed("windows/usage_sums", rows, buckets, USAGE_MEASURES)

    def _windows_outcome_sums(self, tenants: list[str], slide_us: int, buckets: list[int], **_: int) -> pl.DataFrame:
        rows = (
            {**booking, "tenant": row["tenant"], "bucket": booking["at"] // slide_us}
            for row in self._of_tenants("work_items", tenants)
            for booking in row["bookings"]
        )
        return _summed("windows/outcome_sums", rows, buckets, OUTCOME_MEASURES)

    def _windows_actors_seen(self, tenants: list[str], slide_us: int, buckets: list[int], **_: int) -> pl.DataFrame:
        rows = ({**row, "bucket": row["pane_start"] // slide_us} for row in self._of_tenants("pane_actors", tenants))
        return _summed("windows/actors_seen", rows, buckets, ()).filter(pl.col("actor_hash") != NO_ACTOR)

    def _windows_checkpoints(self, uparts: list[int]) -> Iterable[Row]:
        return [
            {**row, "positions": [list(position.values()) for position in row["positions"]]}
            for row in self.rows("window_checkpoints")
            if row["upart"] in uparts
        ]

    def _windows_previous(
        self, tenants: list[str], groupings: list[str], teams: list[str], size: str, ends: list[int], **_: int
    ) -> pl.DataFrame:
        end_us = pl.col("window_end").cast(pl.Int64)
        wanted = pl.col("tenant").is_in(tenants) & pl.col("grouping").is_in(groupings) & pl.col("team").is_in(teams)
        wanted &= pl.col("size") == size
        return self._answered("windows/previous", wanted & end_us.is_in([end * 1_000_000 for end in ends]))

    def _windows_shown(self, tenants: list[str]) -> pl.DataFrame:
        return self._answered("windows/shown", pl.col("tenant").is_in(tenants) & (pl.col("status") == "provisional"))

    def _answered(self, name: str, wanted: pl.Expr) -> pl.DataFrame:
        rows = self.windows().filter(wanted)
        return rows.with_columns(pl.col("window_end", "watermark").cast(pl.Int64)).select(list(COLUMNS[name]))

    # --- rebuilds -------------------------------------------------------------------------------------------------------------------

    def _rebuild_pending(self, kparts: list[int]) -> Iterable[Row]:
        return sorted(
            (
                {**row, "from_us": row["from_time"], "to_us": row["to_time"]}
                for row in self.rows("rebuilds")
                if row["kpart"] in kparts and not row["finished"]
            ),
            key=lambda row: (row["kpart"], row["requested_at"]),
        )

    def _rebuild_items(
        self, kpart: int, from_us: int, to_us: int, tenant: str, work_item_id: str, most: int
    ) -> Iterable[Row]:
        found = [
            *(
                row
                for row in self._of("usage_events", kpart)
                if from_us <= row["occurred_at"] < to_us and row["work_item_id"]
            ),
            *(row for row in self._of("work_item_events", kpart) if from_us <= row["occurred_at"] < to_us),
            *(
                row
                for row in self._of("work_item_usage", kpart)
                if row["last_at"] >= from_us and row["usage_day"] * DAY_US < to_us
            ),
            *(
                row
                for row in self._of("work_items", kpart)
                if row["last_event_at"] >= from_us and row["first_event_at"] < to_us
            ),
        ]
        names = sorted({(row["tenant"], row["work_item_id"]) for row in found})
        after = [name for name in names if name > (tenant, work_item_id)]
        return [{"tenant": name[0], "work_item_id": name[1]} for name in after[:most]]

    def _rebuild_hours(self, kpart: int, from_us: int, to_us: int, after: int, most: int) -> Iterable[Row]:
        times = [row["occurred_at"] for row in self._of("usage_events", kpart)]
        times += [row["pane_start"] for row in self._of("panes", kpart)]
        hours = sorted({at // HOUR_US * 3600 for at in times if from_us <= at < to_us})
        return [{"hour": hour} for hour in hours if hour > after][:most]

    def _rebuild_panes(self, kpart: int, hour: int) -> Iterable[Row]:
        rows = [
            *(
                {**row, "pane_start": row["occurred_at"] // PANE_US * PANE_US}
                for row in self._of("usage_events", kpart)
            ),
            *self._of("panes", kpart),
        ]
        found = {
            tuple(row[name] for name in PANE_SCHEMA): row for row in rows if row["pane_start"] // HOUR_US * 3600 == hour
        }
        return found.values()

    # --- alerts ---------------------------------------------------------------------------------------------------------------------

    def _alerts_checkpoint(self, wpart: int) -> Iterable[Row]:
        return [row for row in self.rows("alert_checkpoints") if row["wpart"] == wpart]

    def _alerts_history(
        self, since_s: int, sizes: list[str], steps_s: list[int], recent_s: int, judged_s: int
    ) -> pl.DataFrame:
        end_us = pl.col("window_end").cast(pl.Int64)
        in_step = [
            (pl.col("size") == size) & (end_us % (step * 1_000_000) == 0)
            for size, step in zip(sizes, steps_s, strict=True)
        ]
        recent = (pl.col("size") == "1h") & (pl.col("grouping") == "team") & (end_us > recent_s * 1_000_000)
        judged = (pl.col("grouping") == "team") | (
            (pl.col("grouping") == "team_class") & pl.col("work_class").is_in(["core", "low_value"])
        )
        return self._answered(
            "alerts/history",
            (pl.col("status") == "final")
            & judged
            & (pl.any_horizontal(in_step) | recent | (end_us > judged_s * 1_000_000))
            & (end_us >= since_s * 1_000_000),
        )

    def _alerts_recent(self, since: int) -> Iterable[Row]:
        return [row for row in self.rows("alerts") if not row["resolved_at"] or row["resolved_at"] >= since]


def _summed(name: str, rows: Iterable[Row], buckets: list[int], measures: tuple[str, ...]) -> pl.DataFrame:
    """Rows of some buckets as the answer of a query, measures summed by the other columns."""
    wanted = set(buckets)
    columns = COLUMNS[name]
    found = [[row[column] for column in columns] for row in rows if row["bucket"] in wanted]
    frame = pl.DataFrame(found, schema=columns, orient="row")
    keys = [column for column in columns if column not in measures]
    return frame.group_by(keys, maintain_order=True).agg(pl.col(measures).sum()).select(list(columns))


class Backup:
    """The store of an earlier moment."""

    def __init__(self, tables: dict[str, dict[tuple[Any, ...], Row]], windows: pl.DataFrame) -> None:
        self.tables, self.windows = tables, windows
