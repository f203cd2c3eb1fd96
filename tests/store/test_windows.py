"""What the window agent reads of the store, on the engine, against plain loops."""

from __future__ import annotations

import random
from collections.abc import Iterable

import polars as pl
import pytest

import streams.store.windows
from streams.store.client import Client
from streams.store.reading import ClickHouseStored
from streams.store.rows import TIME
from streams.store.windows import load_state, previous_windows, stored_sums, stored_versions, window_rows
from streams.windows.families import FAMILIES, WINDOW_KEY, WINDOW_SCHEMA
from streams.windows.measures import OUTCOME_MEASURES, USAGE_MEASURES
from streams.windows.state import NO_ACTOR
from tests.store.right_store import insert, moment
from tests.windows.reference import DAY, HOUR, PANE, Booking, Share, Truth, actor_frame, booking_frame, pane_frame
from tests.windows.reference import sums_frames as reference_sums

DAY_0 = 19_723 * DAY
DAYS = 70
TENANTS = ("acme", "be'ta", "other")


def _random_truth(rng: random.Random) -> Truth:
    """Panes, items and actors of 70 days that meet often."""

    def at() -> int:
        return DAY_0 + rng.randrange(DAYS) * DAY + rng.choice((0, 1, PANE - 1, PANE, 7 * HOUR, DAY - 1))

    def share() -> Share:
        names = rng.choice(TENANTS), rng.choice("ab"), rng.choice(("", "cli")), rng.choice("mn")
        return Share(rng.randrange(2), *names, at() // PANE * PANE)

    def booking() -> Booking:
        names = rng.choice("ab"), rng.choice(("", "cli")), rng.choice("mn"), rng.choice(("", "core"))
        if rng.random() < 0.2:
            return Booking(at(), "moved", *names)
        return Booking(at(), "credit", *names, ((rng.choice(OUTCOME_MEASURES), rng.randint(1, 9)),))

    panes = {share(): {rng.choice(USAGE_MEASURES): rng.randint(1, 9)} for _ in range(400)}
    items = {
        (rng.randrange(2), rng.choice(TENANTS), f"I-{i}"): [booking() for _ in range(rng.randrange(4))]
        for i in range(150)
    }
    actors = {(share, rng.randrange(3)) for share in rng.sample(sorted(panes), 150)}
    versions = {key: rng.randint(2, 9) for key in (*panes, *items)}
    return Truth(panes, items, actors, versions)  # type: ignore[arg-type]


def _write(client: Client, truth: Truth) -> None:
    """Its rows, in inserts of their own: first an older version of each, which says something else."""

    def items(change: int) -> Iterable[dict[str, object]]:
        for item, bookings in truth.items.items():
            yield dict(zip(("kpart", "tenant", "work_item_id"), item, strict=True)) | {
                "version": truth.versions[item] - change,
                "bookings": [
                    {**b._asdict(), "at": moment(b.at), "amounts": 0}
                    | dict.fromkeys(OUTCOME_MEASURES, 0)
                    | dict(b.amounts)
                    for b in (bookings[1:] if change else bookings)
                ],
            }

    for change in (1, 0):
        panes = [
            {**share._asdict(), **amounts, "version": truth.versions[share] - change, "requests": change}
            if change
            else {**share._asdict(), **amounts, "version": truth.versions[share]}
            for share, amounts in truth.panes.items()
        ]
        people = [{**share._asdict(), "actor_hash": actor, "version": 1 + change} for share, actor in truth.actors]
        nobody = [{**share._asdict(), "actor_hash": NO_ACTOR, "version": 1} for share in list(truth.panes)[:5]]
        for table, rows in (("panes", panes), ("pane_actors", people + nobody)):
            insert(
                client,
                table,
                ({k: v for k, v in row.items() if k != "start"} | {"pane_start": moment(row["start"])} for row in rows),
            )
        insert(client, "work_items", items(change))


def _rows(frame: pl.DataFrame, columns: Iterable[str]) -> list[tuple[object, ...]]:
    found = frame.select(columns).rows()
    return sorted(found, key=repr)


def test_sums_of_buckets_are_those_of_the_rows(migrated: Client) -> None:
    rng = random.Random(4)
    truth = _random_truth(rng)
    _write(migrated, truth)
    stored = ClickHouseStored(migrated)
    for family in FAMILIES:
        for tenants in (["acme"], ["be'ta", "other"]):
            first = DAY_0 // family.slide_us
            span = DAYS * DAY // family.slide_us
            buckets = sorted(rng.sample(range(first, first + span), min(span, 3_900) // 2))
            answers = stored_sums(stored, tenants, family.slide_us, buckets)
            expected = reference_sums(truth, set(tenants), family.slide_us, set(buckets))
            for answer, rows in zip(answers, expected, strict=True):
                assert _rows(answer, rows.columns) == _rows(rows, rows.columns)
                assert len(rows) or family.size == "1h"


def test_the_state_is_read_from_a_time_on(migrated: Client) -> None:
    truth = _random_truth(random.Random(5))
    _write(migrated, truth)
    insert(migrated, "checkpoints", [{"kpart": k, "version": v} for k, v in ((0, 3), (0, 7), (1, 5))])
    stored, tenants = ClickHouseStored(migrated), {"acme", "be'ta"}
    for since in (0, DAY_0 + 30 * DAY, DAY_0 + 200 * DAY):
        versions, frames = stored_versions(stored), load_state(stored, sorted(tenants), since)
        kept = truth.since(since)
        held = Truth(
            {share: amounts for share, amounts in kept.panes.items() if share.tenant in tenants},
            {item: bookings for item, bookings in kept.items.items() if item[1] in tenants},
            {(share, actor) for share, actor in kept.actors if share.tenant in tenants},
        )
        expected = (
            pane_frame(held.panes, truth.versions),
            booking_frame(held.items, truth.versions),
            actor_frame(held.actors),
        )
        for name, frame, rows in zip(("panes", "bookings", "actors"), frames, expected, strict=True):
            found = frame.filter(pl.col("actor_hash") != NO_ACTOR) if name == "actors" else frame
            assert _rows(found, rows.columns) == _rows(rows, rows.columns), name
            assert frame.is_empty() == (since > DAY_0 + DAYS * DAY)
        assert versions == {0: 7, 1: 5}


def test_stored_windows_are_found_by_their_keys(migrated: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("MOST_PREVIOUS", 40), ("MOST_ENDS", 7), ("MOST_TEAMS", 2)):
        monkeypatch.setattr(streams.store.windows, name, most)
    rng = random.Random(6)
    ends = [DAY_0 + i * PANE for i in range(0, 40, 3)]
    keys = [
        (tenant, grouping, team, "", "", "", size, end)
        for tenant in TENANTS
        for grouping, team in (("tenant", ""), ("team", "a"), ("team", "b"), ("team", "c'"), ("team_tool", "a"))
        for size in ("1h", "24h")
        for end in ends
    ]
    frame = pl.DataFrame(keys, schema=WINDOW_KEY, orient="row").with_columns(
        pl.col("window_end").cast(TIME),
        pl.Series("requests", range(len(keys))),
        pl.lit("final").alias("status"),
        pl.lit(1, pl.UInt32).alias("revision"),
    )
    rows = pl.concat([pl.DataFrame(schema=WINDOW_SCHEMA), frame], how="diagonal").with_columns(
        pl.col("watermark").fill_null(pl.lit(0).cast(TIME)), pl.selectors.integer().fill_null(0)
    )
    migrated.insert_arrow("value_windows", window_rows(rows.with_columns(requests=0), 1, 1).to_arrow())
    migrated.insert_arrow("value_windows", window_rows(rows, 2, 1).to_arrow())
    stored = ClickHouseStored(migrated)
    for count in (1, 100):
        asked = frame.filter(size="1h")[rng.sample(range(len(frame) // 2), count)].select(WINDOW_KEY)
        missing = asked.with_columns(team=pl.lit("nobody"))[:3]
        found = previous_windows(stored, pl.concat([asked, missing]))
        columns = (*WINDOW_KEY, "requests", "revision")
        assert _rows(found, columns) == _rows(asked.join(frame, on=WINDOW_KEY), columns)
