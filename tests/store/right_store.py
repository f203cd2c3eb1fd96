"""A store whose results are right: raw rows of small worlds, and the results that the naive oracle gives for them.

Many worlds share one store under tenants of their own, so that one run of verify judges them all.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import xxhash

from streams.events.keys import partition_of, usage_key, work_item_key
from streams.store.client import Client
from tests.oracle.items import Item, size_of
from tests.oracle.ledger import LINE_MEASURES
from tests.oracle.panes import MEASURES
from tests.oracle.value import DEFAULT_RULES, SAMPLE_PRICES, PriceLine, RuleLine
from tests.oracle.world import Results, world
from tests.strategies import Event, World

USAGE_MEASURES, OUTCOME_MEASURES = MEASURES[:23], MEASURES[23:]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PARTITIONS = 3

Row = dict[str, Any]


def moment(us: int) -> str:
    """A time as ClickHouse reads it."""
    return (EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%d %H:%M:%S.%f")


def day(number: int) -> str:
    return moment(number * 86_400_000_000)[:10]


def insert(client: Client, table: str, rows: Iterable[Row]) -> None:
    lines = "\n".join(json.dumps(row) for row in rows)
    if lines:
        client.raw_insert(table, insert_block=lines, fmt="JSONEachRow", settings={"max_partitions_per_insert_block": 0})


def put_values(
    client: Client, prices: Sequence[PriceLine] = SAMPLE_PRICES, rules: Sequence[RuleLine] = DEFAULT_RULES
) -> None:
    """Prices and rules."""
    insert(client, "price_book", ({**line._asdict(), "effective_from": moment(line.effective_from)} for line in prices))
    insert(
        client,
        "value_rules",
        (
            {
                **line._asdict(),
                "effective_from": moment(line.effective_from),
                "patterns": [p for p in line.patterns if p or line.kind == "reference"],
            }
            for line in rules
        ),
    )


def renamed(found: World, number: int) -> World:
    """The world under tenants of its own."""

    def rename(events: list[Event]) -> list[Event]:
        return [event | {"tenant": f"{event['tenant']}-{number}"} for event in events]

    return World(rename(found.usage), rename(found.items), found.watermark)


class RightStore:
    """Collects worlds and writes them with their results. `watermark` of the store is what `fill` is given."""

    def __init__(
        self, client: Client, prices: Sequence[PriceLine] = SAMPLE_PRICES, rules: Sequence[RuleLine] = DEFAULT_RULES
    ) -> None:
        self.client, self.prices, self.rules = client, prices, rules
        self.next: dict[tuple[str, int], int] = defaultdict(int)
        self.counts: dict[tuple[str, int, str], int] = defaultdict(int)
        self.latest: dict[tuple[str, int], int] = defaultdict(int)
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self.seen: set[tuple[str, int, str, str]] = set()
        put_values(client, prices, rules)

    def add(self, found: World, *, windows_at: int | None = None) -> Results:
        """Raw rows and results of a world; final windows at a watermark, if one is given."""
        for event in found.usage:
            self._record(
                "usage",
                usage_key(event["tenant"], event["event_id"], event["work_item_id"], event["session_id"]),
                event,
            )
        for event in found.items:
            self._record("items", work_item_key(event["tenant"], event["work_item_id"]), event)
        results = world(found.usage, found.items, self.prices, self.rules)
        self._results(results, found)
        if windows_at is not None:
            self._windows(results, windows_at)
        return results

    def write(self, *, watermark: int | None = None) -> None:
        """Write everything. With a watermark, as if the window agent had stored it."""
        for table, rows in self.rows.items():
            insert(self.client, table, rows)
        parts = {part for _, part in self.next}
        insert(self.client, "checkpoints", (self.checkpoint(part) for part in sorted(parts)))
        if watermark is not None:
            insert(self.client, "window_checkpoints", [self.window_checkpoint(watermark)])

    def _record(self, side: str, key: str, event: Event) -> None:
        part = partition_of(key, PARTITIONS)
        offset = self.next[side, part]
        self.next[side, part] += 1
        identity = (side, part, event["tenant"], event["event_id"])
        place = {
            "kpart": part,
            "incarnation": 0,
            "koff": offset,
            "version": 1 << 40 | 1,
            "appended_at": moment(event["occurred_at"]),
        }
        if identity in self.seen:
            topic = "usage-events" if side == "usage" else "work-item-events"
            self.rows["duplicates"].append(
                place | {"topic": topic, "tenant": event["tenant"], "event_id": event["event_id"], "content_hash": 1}
            )
            self.counts[side, part, "duplicates"] += 1
            return
        self.seen.add(identity)
        self.counts[side, part, "applied"] += 1
        self.latest[side, part] = max(self.latest[side, part], event["occurred_at"])
        present = {name: "" if value is None and name != "cost_micro_usd" else value for name, value in event.items()}
        if side == "items":
            present["size_milli"] = size_of(event)
        table = "usage_events" if side == "usage" else "work_item_events"
        self.rows[table].append(present | place | {"occurred_at": moment(event["occurred_at"])})

    def _covering(self) -> Row:
        return {"usage_next": 0, "items_next": 0, "version": 1 << 40 | 1}

    def _results(self, results: Results, found: World) -> None:
        for key, line in results.ledger.items():
            part = partition_of(work_item_key(key.tenant, key.work_item_id), PARTITIONS)
            row = {**key._asdict(), "kpart": part, "usage_day": day(key.day), "last_at": moment(line.last_at)}
            del row["day"]
            self.rows["work_item_usage"].append(
                row | {name: line.measures[name] for name in LINE_MEASURES} | self._covering()
            )
        histories: dict[tuple[str, str], dict[str, Event]] = defaultdict(dict)
        for event in found.items:
            histories[event["tenant"], event["work_item_id"]].setdefault(event["event_id"], event)
        for name, item in results.items.items():
            self.rows["work_items"].append(_item_row(item, histories[name].values()) | self._covering())
        self._panes(found)

    def _panes(self, found: World) -> None:
        """Usage panes and actors per partition: the oracle's of each partition's events."""
        by_part: dict[int, list[Event]] = defaultdict(list)
        for event in found.usage:
            by_part[
                partition_of(
                    usage_key(event["tenant"], event["event_id"], event["work_item_id"], event["session_id"]),
                    PARTITIONS,
                )
            ].append(event)
        for part, events in by_part.items():
            share = world(events, [], self.prices, self.rules)
            for key, measures in share.panes.items():
                row = {**key._asdict(), "kpart": part, "pane_start": moment(key.start)}
                del row["start"], row["work_class"]
                self.rows["panes"].append(
                    row | {name: measures.get(name, 0) for name in USAGE_MEASURES} | self._covering()
                )
            for key, actors in share.contributors.items():
                for actor in actors:
                    row = {
                        "kpart": part,
                        "tenant": key.tenant,
                        "team": key.team,
                        "tool": key.tool,
                        "model": key.model,
                        "pane_start": moment(key.start),
                    }
                    self.rows["pane_actors"].append(
                        row | {"actor_hash": xxhash.xxh64_intdigest(actor.encode()), "version": 1 << 40 | 1}
                    )

    def _windows(self, results: Results, watermark: int) -> None:
        for key, measures in results.windows(watermark).items():
            row = {**key._asdict(), "window_end": moment(key.end)[:19]}
            del row["end"]
            self.rows["value_windows"].append(
                row
                | {name: measures.get(name, 0) for name in (*MEASURES, "contributors")}
                | {
                    "status": "final",
                    "revision": 0,
                    "backfill": 0,
                    "watermark": moment(watermark),
                    "written_at": moment(watermark),
                    "version": 1,
                }
            )

    def checkpoint(self, part: int) -> Row:
        """The position of a partition once everything is applied."""
        row: Row = {
            "kpart": part,
            "incarnation": 0,
            "epoch": 1,
            "flush": 1,
            "worker": "w",
            "flushed_at": moment(0),
            "version": 1 << 40 | 1,
        }
        for side in ("usage", "items"):
            row |= {f"{side}_next": self.next[side, part], f"{side}_begin": 0, f"{side}_missing": 0, f"{side}_dead": 0}
            row |= {f"{side}_{fate}": self.counts[side, part, fate] for fate in ("applied", "duplicates")}
            row[f"{side}_watermark"] = moment(self.latest[side, part])
        return row

    def window_checkpoint(self, watermark: int) -> Row:
        """The window agent's row when it has seen everything."""
        parts = {part for _, part in self.next}
        positions = [
            {
                "kpart": part,
                "usage_next": self.next["usage", part],
                "items_next": self.next["items", part],
                "usage_watermark": moment(0),
                "items_watermark": moment(0),
            }
            for part in sorted(parts)
        ]
        return {
            "upart": 0,
            "next_offset": 1,
            "watermark": moment(watermark),
            "positions": positions,
            "written_at": moment(0),
            "version": 1,
        }


def _item_row(item: Item, events: Iterable[Event]) -> Row:
    history = sorted(events, key=lambda event: (event["occurred_at"], event["event_id"]))
    credit, attributes = item.credit, item.attributes
    kind = item.verdict.kind
    return {
        "kpart": partition_of(work_item_key(item.tenant, item.work_item_id), PARTITIONS),
        "tenant": item.tenant,
        "work_item_id": item.work_item_id,
        "state": item.state,
        "team": attributes.team,
        "item_type": attributes.item_type,
        "labels": list(attributes.labels),
        "size_milli": attributes.size_milli,
        "parent_id": attributes.parent_id,
        "rule": item.verdict.rule,
        "work_class": item.verdict.work_class,
        "assistance": item.assistance,
        "value_milli": credit.value_milli if credit else 0,
        "value_assisted": int(bool(credit and credit.value_assisted)),
        "container": int(kind == "container"),
        "evidence": int(item.evidence),
        "first_event_at": moment(item.first_event_at),
        "last_event_at": moment(item.last_event_at),
        "started_at": moment(item.started_at),
        "first_completed_at": moment(item.first_completed_at),
        "completed_at": moment(item.completed_at),
        "canceled_at": moment(item.canceled_at),
        "history": [
            {
                "occurred_at": moment(event["occurred_at"]),
                "size_milli": size_of(event),
                "labels": list(event["labels"]),
                **{
                    name: event[name] or ""
                    for name in ("event_id", "kind", "team", "item_type", "parent_id", "link_type", "link_value")
                },
            }
            for event in history
        ],
        "bookings": [
            {
                "at": moment(b.at),
                "kind": b.kind,
                "team": b.team,
                "tool": b.tool,
                "model": b.model,
                "work_class": b.work_class,
            }
            | {name: b.measures.get(name, 0) for name in OUTCOME_MEASURES}
            for b in item.bookings
        ],
    }
