"""Work-item events of the demo: each item's life as its tracker would report it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl

from streams.local.traffic.company import TENANT, Company
from streams.local.traffic.items import Item
from streams.local.traffic.rhythm import Floats
from streams.local.traffic.teams import Team
from streams.windows.measures import DAY_US, HOUR_US

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US

ITEM_COLUMNS: Final[dict[str, Any]] = {
    "event_id": pl.String,
    "occurred_at": pl.Int64,
    "tenant": pl.String,
    "source": pl.String,
    "work_item_id": pl.String,
    "kind": pl.String,
    "team": pl.String,
    "actor": pl.String,
    "source_type": pl.String,
    "item_type": pl.String,
    "size_milli": pl.Int64,
    "labels": pl.List(pl.String),
    "parent_id": pl.String,
    "link_type": pl.String,
    "link_value": pl.String,
    "resolution": pl.String,
}
"""Fields of schemas/work_item_event/1.avsc, in its order; null where absent."""

Row = dict[str, Any]


def item_events(company: Company, items: Sequence[Item]) -> pl.DataFrame:
    """Events that occur before the end of the traffic; columns ITEM_COLUMNS, in order of occurrence."""
    first = min((item.start_us for item in items), default=company.end_us) - HOUR_US
    epic: Row = {"item_type": "epic", "source_type": "issue"}
    rows = [_row(team, f"{team.key}-E{k}", "started", first, **epic) for team in company.teams for k in (1, 2)]
    for item, dice in zip(items, company.rng.random((len(items), 8)), strict=True):
        actor = company.actors[item.team][item.owner]
        rows += [row | {"actor": actor} for row in _life(company.teams[item.team], item, dice)]
    frame = pl.DataFrame(rows, schema={k: t for k, t in ITEM_COLUMNS.items() if k not in ("event_id", "tenant")})
    frame = frame.filter(pl.col("occurred_at") < company.end_us).sort(
        "occurred_at", "work_item_id", maintain_order=True
    )
    # Several events of one delivery: the id is the item's plus the number of the step.
    step = pl.int_range(pl.len()).over("work_item_id")
    event_id = pl.format("{}:{}", "work_item_id", step)
    return frame.with_columns(event_id=event_id, tenant=pl.lit(TENANT)).select(ITEM_COLUMNS.keys())


def _row(team: Team, item_id: str, kind: str, at_us: int, **fields: Any) -> Row:
    row: Row = dict.fromkeys(ITEM_COLUMNS)
    for name in ("event_id", "tenant"):
        del row[name]
    row |= {"source": team.tracker, "work_item_id": item_id, "kind": kind, "occurred_at": at_us, "team": team.name}
    return row | {"labels": [], "source_type": "", "item_type": "", **fields}


def _life(team: Team, item: Item, dice: Floats) -> Iterator[Row]:
    labels = ["backend"] if dice[0] < 0.5 else ["web"]
    item_type = item.card.item_type
    if team.tracker == "github":
        # GitHub has one type of issue; what it is stands in a label.
        labels, item_type = [*labels, item.card.item_type], "issue"
    if item.work_class == "core" and dice[1] < 0.01:
        labels = [*labels, "value:low"]
    what: Row = {"source_type": "issue", "item_type": item_type, "labels": labels, "parent_id": item.epic_id or None}
    size = item.card.points * 1000 or None
    early = dice[2] < 0.35
    if early and size:
        yield _row(team, item.item_id, "sized", item.start_us - int((0.1 + dice[3]) * HOUR_US), size_milli=size, **what)
    if item.started:
        yield _row(team, item.item_id, "started", item.start_us, size_milli=None if early else size, **what)
    if dice[4] < 0.2 and item.started:
        branch = f"{item.item_id.lower()}-work"
        yield _row(team, item.item_id, "linked", item.start_us + 5 * MINUTE_US, link_type="branch", link_value=branch)
    if item.injected == "stalled":
        return
    yield from _evidence(team, item, dice[5])
    if item.ending == "canceled":
        yield _cancel(team, item, dice[6])
        return
    yield _row(team, item.item_id, "completed", item.end_us, resolution="done", **what)
    if item.reopened_us:
        yield _row(team, item.item_id, "reopened", item.reopened_us)
        again = item.reopened_us + int((0.2 + dice[7]) * DAY_US)
        yield _row(team, item.item_id, "completed", again, resolution="done", **what)
    elif item_type == "bug" and dice[7] < 0.04:
        at = item.end_us + int(dice[6] * DAY_US)
        yield _row(team, item.item_id, "reclassified", at, source_type="issue", item_type="improvement")


def _cancel(team: Team, item: Item, dice: float) -> Row:
    if dice < 0.1:
        other = f"{team.key}-1"
        return _row(team, item.item_id, "linked", item.end_us, link_type="duplicates", link_value=other)
    kind = "moved" if dice < 0.16 else "deleted" if dice < 0.2 else "canceled"
    return _row(team, item.item_id, kind, item.end_us, resolution="won't do" if kind == "canceled" else kind)


def _evidence(team: Team, item: Item, dice: float) -> Iterator[Row]:
    """Sub-tasks and the pull request: worth nothing by themselves, as the item counts."""
    life = item.end_us - item.start_us
    for k, subtask in enumerate(item.subtask_ids):
        begin = item.start_us + (k + 1) * 10 * MINUTE_US
        yield _row(team, subtask, "started", begin, source_type="issue", item_type="sub-task", parent_id=item.item_id)
        yield _row(team, subtask, "linked", begin + SECOND_US, link_type="subtask_of", link_value=item.item_id)
        yield _row(team, subtask, "completed", item.end_us - (k + 1) * min(HOUR_US, life // 8), item_type="sub-task")
    if item.pull_request_id:
        opened = item.end_us - min(int((1 + 20 * dice) * HOUR_US), life // 2)
        change: Row = {"source": "github", "source_type": "pull_request", "item_type": "change"}
        yield _row(team, item.pull_request_id, "started", opened, **change)
        yield _row(
            team,
            item.pull_request_id,
            "linked",
            opened + SECOND_US,
            link_type="implements",
            link_value=item.item_id,
            **change,
        )
        yield _row(team, item.pull_request_id, "completed", item.end_us - min(5 * MINUTE_US, life // 8), **change)
