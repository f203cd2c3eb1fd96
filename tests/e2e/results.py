"""What ClickHouse holds against the naive oracle, in one form: each kind of result by its key, measures other than 0."""

from __future__ import annotations

from typing import Any, Protocol

from streams.store.client import Client
from streams.windows.measures import LINE_MEASURES, MEASURES, OUTCOME_MEASURES, PANE_US, USAGE_MEASURES
from tests.oracle.items import Item
from tests.oracle.world import Results
from tests.store.engine import EngineStore

Found = dict[str, dict[tuple[Any, ...], Any]]


class Rows(Protocol):
    """A store that shows the surviving rows of a table."""

    def rows(self, table: str) -> list[dict[str, Any]]: ...


_ITEM = (
    "state", "team", "item_type", "labels", "size_milli", "parent_id", "rule", "work_class", "assistance", "value_milli", "value_assisted",
    "container", "evidence", "first_event_at", "last_event_at", "started_at", "first_completed_at", "completed_at", "canceled_at",
)  # fmt: skip
_WINDOW_KEY = ("tenant", "grouping", "team", "tool", "model", "work_class", "size")
_WINDOW_SUMS = (*MEASURES, "contributors")
_FATE_SUMS = ("requests", "tokens", "standard_cost_micro_usd")
_NEVER = 1 << 62


def stored(client: Client, watermark_us: int, lateness_us: int) -> Found:
    """Results as analysts see them: summed over input partitions; windows that are final at a watermark."""
    found = tables(EngineStore(client))
    found["windows"] = _windows(client, watermark_us - lateness_us)
    found["fates"] = {}
    for row in client.query(
        "SELECT *, toInt32(toUnixTimestamp(day) / 86400) AS number FROM spend_fates"
    ).named_results():
        _add(found["fates"], (row["tenant"], row["team"], row["number"], row["fate"]), _sums(row, _FATE_SUMS))
    return found


def tables(store: Rows) -> Found:
    """Lines, items, panes and actors."""
    found: Found = {name: {} for name in ("lines", "items", "panes")}
    for row in store.rows("work_item_usage"):
        key = tuple(row[name] for name in ("tenant", "work_item_id", "usage_day", "team", "tool", "model"))
        sums = _sums(row, LINE_MEASURES)
        if row["last_at"] or sums:  # else no raw row confirmed it: all zero equals absent
            found["lines"][key] = (row["last_at"], sums)
    for row in store.rows("panes"):
        _add(found["panes"], (*_place(row), "", row["pane_start"]), _sums(row, USAGE_MEASURES))
    actors: dict[tuple[Any, ...], set[int]] = {}
    for row in store.rows("pane_actors"):  # of one actor there may be a row from every input partition
        actors.setdefault((*_place(row), "", row["pane_start"]), set()).add(row["actor_hash"])
    found["actors"] = {key: len(names) for key, names in actors.items()}
    for row in store.rows("work_items"):
        if row["history"]:  # else no raw row confirmed it
            found["items"][row["tenant"], row["work_item_id"]] = {name: row[name] for name in _ITEM}
        for booking in row["bookings"]:
            at = booking["at"] // PANE_US * PANE_US
            key = (row["tenant"], *(booking[name] for name in ("team", "tool", "model", "work_class")), at)
            _add(found["panes"], key, _sums(booking, OUTCOME_MEASURES))
    found["panes"] = {key: sums for key, sums in found["panes"].items() if sums}
    return found


def _windows(client: Client, final_to_us: int) -> dict[tuple[Any, ...], Any]:
    """Each by its key, with its sums in the order of _WINDOW_SUMS."""
    columns = ", ".join(
        (*_WINDOW_KEY, "toInt64(toUnixTimestamp(window_end)) * 1000000 AS end", *_WINDOW_SUMS, "status")
    )
    rows = client.query(f"SELECT {columns} FROM value_windows FINAL WHERE end <= {final_to_us}").result_rows
    first = len(_WINDOW_KEY) + 1
    assert all(row[-1] == "final" for row in rows), "a window is not final at the watermark"
    return {tuple(row[:first]): tuple(row[first:-1]) for row in rows if any(row[first:-1])}


class Expected:
    """The oracle's results in the same form."""

    def __init__(self, results: Results, lateness_us: int) -> None:
        self._results, self._lateness_us = results, lateness_us
        self._windows: dict[tuple[Any, ...], Any] = {
            tuple(key): tuple(sums.get(name, 0) for name in _WINDOW_SUMS)
            for key, sums in results.windows(_NEVER, lateness_us).items()
        }

    def at(self, watermark_us: int) -> Found:
        """What must be stored when windows are complete up to a watermark."""
        results, final_to_us = self._results, watermark_us - self._lateness_us
        return expected_tables(results) | {
            "windows": {key: sums for key, sums in self._windows.items() if key[-1] <= final_to_us},
            "fates": {
                tuple(key): kept
                for key, sums in results.fates(watermark_us).items()
                if (kept := _sums(sums, _FATE_SUMS))
            },
        }


def expected_tables(results: Results) -> Found:
    """What `tables` must find."""
    return {
        "lines": {
            tuple(key): (line.last_at, _sums(line.measures, LINE_MEASURES)) for key, line in results.ledger.items()
        },
        "items": {key: _item(item) for key, item in results.items.items()},
        "panes": {tuple(key): dict(measures) for key, measures in results.panes.items()},
        "actors": {tuple(key): len(actors) for key, actors in results.contributors.items()},
    }


def watermark_us(client: Client) -> int:
    """The event time up to which windows are complete."""
    found = client.query("SELECT toUnixTimestamp64Micro(min(watermark)) FROM window_checkpoints FINAL").result_rows[0][
        0
    ]
    return int(found)


def differences(stored: Found, expected: Found) -> list[str]:
    """One line per key that differs, at most ten of each kind."""
    out = []
    for kind, wanted in expected.items():
        keys = sorted(
            (key for key in wanted.keys() | stored[kind].keys() if wanted.get(key) != stored[kind].get(key)), key=str
        )
        out += [f"{kind} {key}\n  stored   {stored[kind].get(key)}\n  expected {wanted.get(key)}" for key in keys[:10]]
        if len(keys) > 10:
            out.append(f"{kind}: {len(keys)} differ")
    return out


def _place(row: dict[str, Any]) -> tuple[str, str, str, str]:
    return row["tenant"], row["team"], row["tool"], row["model"]


def _sums(row: Any, names: tuple[str, ...]) -> dict[str, int]:
    return {name: row[name] for name in names if row[name]}


def _add(into: dict[tuple[Any, ...], Any], key: tuple[Any, ...], sums: dict[str, int]) -> None:
    held = into.setdefault(key, {})
    for name, amount in sums.items():
        held[name] = held.get(name, 0) + amount
        if not held[name]:
            del held[name]


def _item(item: Item) -> dict[str, Any]:
    made, verdict = item.attributes, item.verdict
    return {
        "state": item.state,
        "team": made.team,
        "item_type": made.item_type,
        "labels": list(made.labels),
        "size_milli": made.size_milli,
        "parent_id": made.parent_id,
        "rule": verdict.rule,
        "work_class": verdict.work_class,
        "assistance": item.assistance,
        "value_milli": item.credit.value_milli if item.credit else 0,
        "value_assisted": int(item.credit.value_assisted) if item.credit else 0,
        "container": int(verdict.kind == "container"),
        "evidence": int(item.evidence),
        **{name: getattr(item, name) for name in _ITEM[-6:]},
    }
