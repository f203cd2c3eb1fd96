"""The analysts' views: ratios with the reason where there is none, fates as the oracle gives them, the privacy floor, a comment on every column."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest

from streams.store.client import Client
from tests.oracle.panes import MEASURES
from tests.oracle.world import Results
from tests.store.random_worlds import random_world
from tests.store.right_store import RightStore, Row, day, insert, moment, put_values, renamed
from tests.store.views_page import PAGE, RAW_OF_ITEM, page
from tests.strategies import DAY_0, World, at, item_event, usage_event

END = moment(at(28, 0))[:19]


def select(client: Client, sql: str, **parameters: Any) -> list[Row]:
    return [dict(row) for row in client.query(sql, parameters or None).named_results()]


def floor(client: Client, tenant: str, value: str) -> None:
    insert(client, "tenant_settings", [{"tenant": tenant, "name": "privacy_floor", "value": value, "version": 1}])


def window(client: Client, grouping: str, **changes: Any) -> None:
    row: Row = dict.fromkeys(("team", "tool", "model", "work_class"), "") | dict.fromkeys(
        (*MEASURES, "contributors"), 0
    )
    row |= {
        "tenant": "acme",
        "grouping": grouping,
        "size": "7d",
        "window_end": END,
        "status": "final",
        "revision": 0,
        "backfill": 0,
    }
    row |= {"watermark": moment(at(28)), "written_at": moment(at(28)), "version": 1}
    insert(client, "value_windows", [row | changes])


USED: Row = {
    "requests": 100, "partial_requests": 5, "unknown_requests": 10, "unpriced_requests": 1, "tokens": 9_000_000, "enabling_tokens": 1_000_000,
    "standard_cost_micro_usd": 7_000_000, "enabling_standard_cost_micro_usd": 1_000_000, "unattributed_standard_cost_micro_usd": 700_000,
    "contributors": 8,
}  # fmt: skip
CORE: Row = {
    "items_completed": 6, "items_assisted": 5, "value_credited_milli": 6000, "value_debited_milli": 1000, "assisted_value_credited_milli": 5000,
    "assisted_value_debited_milli": 1000, "matched_standard_cost_micro_usd_credited": 3_000_000,
    "matched_standard_cost_micro_usd_debited": 1_000_000, "contributors": 8,
}  # fmt: skip


def team_window(
    client: Client, *, tenant: str = "acme", used: Row | None = None, core: Row | None = None, size: str = "7d"
) -> None:
    """A team's usage, its core items, and the rows of all its items that go with them."""
    usage, outcome = USED | (used or {}), CORE | (core or {})
    contributors = usage["contributors"]
    whole = outcome | {
        "items_completed": outcome["items_completed"] + 4,
        "items_reopened": 2,
        "value_credited_milli": outcome["value_credited_milli"] + 900,
    }
    window(client, "team", tenant=tenant, team="pay", size=size, **(whole | usage))
    window(client, "team_class", tenant=tenant, team="pay", size=size, **usage | {"items_reopened": 2})
    window(
        client,
        "team_class",
        tenant=tenant,
        team="pay",
        size=size,
        work_class="core",
        **outcome | {"contributors": contributors},
    )
    supporting = {"items_completed": 4, "value_credited_milli": 900, "contributors": contributors}
    window(client, "team_class", tenant=tenant, team="pay", size=size, work_class="supporting", **supporting)


def windows(client: Client, tenant: str = "acme") -> dict[tuple[str, str], Row]:
    """By grouping and work class."""
    rows = select(client, "SELECT * FROM v_value_windows WHERE tenant = {tenant:String}", tenant=tenant)
    return {(row["grouping"], row["work_class"]): row for row in rows}


RATIOS = ("core_per_mtok", "core_per_raw_mtok", "unit_cost_micro_usd")
REASONS = ("core_per_mtok_null_reason", "core_per_raw_mtok_null_reason", "unit_cost_null_reason")


def test_ratios_of_a_window(migrated: Client) -> None:
    put_values(migrated)
    team_window(migrated)
    rows = windows(migrated)
    for row in (rows["team", ""], rows["team_class", "core"]):
        assert row["core_per_mtok"] == pytest.approx(
            4 / 2
        )  # 4 core items over $6 of standard cost at $3 a weighted Mtok
        assert row["core_per_raw_mtok"] == pytest.approx(4 / 8)
        assert row["unit_cost_micro_usd"] == pytest.approx(2_000_000 / 4)
        assert row["net_core_value_milli"] == 5000
        assert [row[reason] for reason in (*REASONS, "core_null_reason", "suppressed_reason")] == [""] * 5
        assert row["partial_request_share"] == pytest.approx(0.05)
        assert row["unknown_request_share"] == pytest.approx(0.1)
        assert row["unpriced_request_share"] == pytest.approx(0.01)
        assert row["unattributed_cost_share"] == pytest.approx(0.1)
        assert row["enabling_cost_share"] == pytest.approx(1 / 7)
        assert row["reopened_share"] == pytest.approx(0.2)
    assert rows["team", ""]["net_value_milli"] == 5900
    assert str(rows["team", ""]["window_start"])[:10] == day(DAY_0 + 21)
    other = rows["team_class", "supporting"]
    assert [other[name] for name in RATIOS] == [None] * 3
    assert other["core_per_mtok_null_reason"] == other["core_null_reason"] == "not_core"
    assert other["net_value_milli"] == 900


NO_RATIO: dict[str, tuple[Row, Row, str, list[str]]] = {
    "few": ({}, {"items_assisted": 4}, "7d", ["few_assisted_items"] * 3),
    "debited": ({}, {"assisted_value_debited_milli": 5000}, "7d", ["no_net_value"] * 3),
    "unmatched": ({}, {"matched_standard_cost_micro_usd_debited": 3_000_000}, "7d", ["", "", "no_usage"]),
    "enabling": ({"enabling_standard_cost_micro_usd": 7_000_000}, {}, "28d", ["no_usage", "", ""]),
    "enabling tokens": ({"enabling_tokens": 9_000_000}, {}, "28d", ["", "no_usage", ""]),
    "day": ({}, {}, "24h", ["window_too_short"] * 3),
    "hour": ({}, {}, "1h", ["window_too_short"] * 3),
    "small": ({"contributors": 4}, {}, "7d", ["below_privacy_floor"] * 3),
}


def test_a_ratio_that_cannot_be_told_says_why(migrated: Client) -> None:
    put_values(migrated)
    for tenant, (used, core, size, _) in NO_RATIO.items():
        team_window(migrated, tenant=tenant, used=used, core=core, size=size)
    for tenant, (_, _, _, reasons) in NO_RATIO.items():
        rows = windows(migrated, tenant)
        for row in (rows["team", ""], rows["team_class", "core"]):
            assert [row[reason] for reason in REASONS] == reasons, tenant
            assert [row[ratio] is None for ratio in RATIOS] == [bool(reason) for reason in reasons], tenant


def test_a_grouping_without_classes_has_no_core_value(migrated: Client) -> None:
    window(migrated, "team_tool", team="pay", tool="cli", **USED | CORE)
    row = windows(migrated)["team_tool", ""]
    assert (row["net_core_value_milli"], row["core_null_reason"], row["core_per_mtok_null_reason"]) == (
        None,
        "no_work_class",
        "no_work_class",
    )
    assert row["standard_cost_micro_usd"] == 7_000_000


def test_usage_of_a_small_group_is_not_shown(migrated: Client) -> None:
    put_values(migrated)
    team_window(migrated, used={"contributors": 4})
    window(migrated, "tenant", **USED | {"contributors": 4})
    rows = windows(migrated)
    team = rows["team", ""]
    shown = [name for name in MEASURES if team[name] is not None]
    assert shown == [name for name in MEASURES if name.startswith(("items_", "value_", "assisted_value_"))]
    assert (team["contributors"], team["suppressed_reason"], team["partial_request_share"]) == (
        None,
        "below_privacy_floor",
        None,
    )
    assert team["net_value_milli"] == 5900
    assert (rows["tenant", ""]["requests"], rows["tenant", ""]["suppressed_reason"]) == (100, "")
    floor(migrated, "acme", "4")
    assert windows(migrated)["team", ""]["requests"] == 100
    insert(migrated, "tenant_settings", [{"tenant": "acme", "name": "privacy_floor", "value": "many", "version": 2}])
    assert windows(migrated)["team", ""]["requests"] is None


def filled(client: Client, seed: int, worlds: int, watermark: int) -> list[Results]:
    rng, store = random.Random(seed), RightStore(client)
    results = [store.add(renamed(random_world(rng), number)) for number in range(worlds)]
    store.write(watermark=watermark)
    tenants = {key.tenant for found in results for key in found.panes} | {
        name[0] for found in results for name in found.items
    }
    insert(
        client,
        "tenant_settings",
        [{"tenant": tenant, "name": "privacy_floor", "value": "0", "version": 1} for tenant in sorted(tenants)],
    )
    return results


@pytest.mark.parametrize("later", [0, 30])
def test_fates_are_those_of_the_oracle(migrated: Client, later: int) -> None:
    watermark = at(42 + later)
    expected = {
        (key.tenant, key.team, day(key.day), key.fate): tuple(
            sums[name] for name in ("requests", "tokens", "standard_cost_micro_usd")
        )
        for found in filled(migrated, 21, 150, watermark)
        for key, sums in found.fates(watermark).items()
    }
    rows = migrated.query(
        "SELECT tenant, team, toString(day), fate, sum(requests), sum(tokens), sum(standard_cost_micro_usd) FROM v_spend_fate_daily GROUP BY ALL"
    ).result_rows
    assert {row[:4]: row[4:] for row in rows} == expected
    fates = {key[3] for key in expected}
    assert fates >= {
        "stalled",
        "core",
        "supporting",
        "low_value",
        "canceled",
        "enabling",
        "unattributed",
        "unknown_item",
        "after_close",
        "excluded",
    }


def test_open_spend_says_which_class_it_would_have(migrated: Client) -> None:
    store = RightStore(migrated)
    store.add(
        World(
            [usage_event("u", at(0), work_item_id="I-1")], [item_event("w", at(0), "started", item_type="story")], at(0)
        )
    )
    store.write(watermark=at(1))
    rows = select(migrated, "SELECT team, fate, expected_class, requests FROM v_spend_fate_daily")
    assert rows == [{"team": "(small teams)", "fate": "in_flight", "expected_class": "core", "requests": 1}]


def test_small_teams_are_counted_together(migrated: Client) -> None:
    store = RightStore(migrated)
    events = [usage_event(f"{team}{n}", at(0), team=team) for team in ("pay", "ads", "big") for n in range(3)]
    store.add(World(events, [], at(0)))
    store.write(watermark=at(1))
    for team, people in (("pay", 4), ("big", 5)):
        window(migrated, "team", team=team, size="28d", contributors=people, requests=3)
    window(migrated, "team", team="pay", size="28d", contributors=9, window_end=moment(at(1, 0))[:19], requests=3)
    rows = select(
        migrated, "SELECT team, sum(requests) AS requests FROM v_spend_fate_daily GROUP BY team ORDER BY team"
    )
    assert rows == [{"team": "(small teams)", "requests": 6}, {"team": "big", "requests": 3}]


def test_items_are_shown_as_the_oracle_has_them(migrated: Client) -> None:
    results = filled(migrated, 22, 120, at(80))
    rows = {(row["tenant"], row["work_item_id"]): row for row in select(migrated, "SELECT * FROM v_work_items")}
    used: dict[tuple[str, str], int] = defaultdict(int)
    for found in results:
        for key, line in found.ledger.items():
            used[key.tenant, key.work_item_id] += line.measures["standard_cost_micro_usd"]
    items = {name: item for found in results for name, item in found.items.items()}
    assert rows.keys() == items.keys()
    for name, item in items.items():
        row = rows[name]
        assert (row["state"], row["team"], row["rule"]) == (item.state, item.attributes.team, item.verdict.rule)
        assert row["value"] == (item.credit.value_milli / 1000 if item.credit else 0)
        assert row["size_points"] == (item.attributes.size_milli / 1000 if item.attributes.size_milli else None)
        assert (row["completed_at"] is None) == (item.completed_at == 0)
        assert row["standard_cost_micro_usd"] == used[name]
        if item.state == "canceled":
            assert row["fate"] == "canceled"
        elif item.state == "completed":
            assert row["fate"] == item.verdict.work_class
    assert {row["fate"] for row in rows.values()} >= {"core", "canceled", "excluded", "stalled"}


def test_the_ledger_leads_to_all_raw_events_of_an_item(migrated: Client) -> None:
    filled(migrated, 23, 60, at(42))
    of_items: dict[tuple[str, str], list[str]] = defaultdict(list)
    rows = select(migrated, "SELECT tenant, work_item_id, event_id FROM usage_events FINAL WHERE work_item_id != ''")
    for row in rows:
        of_items[row["tenant"], row["work_item_id"]].append(row["event_id"])
    assert max(map(len, of_items.values())) > 3
    for (tenant, item), ids in of_items.items():
        found = select(migrated, RAW_OF_ITEM, tenant=tenant, item=item)
        assert sorted(row["event_id"] for row in found) == sorted(ids)


def test_the_main_tool_and_model_of_an_item(migrated: Client) -> None:
    store = RightStore(migrated)
    usage = [
        usage_event("u1", at(0), work_item_id="I-1", model="large", input_tokens=9_000),
        usage_event("u2", at(1), work_item_id="I-1", model="large", tool="ide", team="ads", input_tokens=1_000),
    ]
    store.add(
        World(usage, [item_event("w1", at(0), "started", team="pay"), item_event("w2", at(1), "completed")], at(1))
    )
    store.write(watermark=at(1))
    hidden = select(migrated, "SELECT * FROM v_work_items")[0]
    assert [hidden[n] for n in ("requests", "main_tool", "main_cost_share", "suppressed_reason")] == [
        None,
        None,
        None,
        "below_privacy_floor",
    ]
    floor(migrated, "acme", "0")
    row = select(migrated, "SELECT * FROM v_work_items")[0]
    assert (row["main_tool"], row["main_model"], row["main_cost_share"]) == ("cli", "large", pytest.approx(0.9))
    assert (row["standard_cost_micro_usd"], row["borrowed_cost_micro_usd"], row["cycle_time_s"]) == (
        150_000,
        15_000,
        86_400,
    )


def test_models_are_compared_on_items_that_one_carried(migrated: Client) -> None:
    store = RightStore(migrated)
    usage, items = [], []
    for n in range(62):
        model, other = ("large", "small") if n < 31 else ("small", "large")
        share = 700 if n in (0, 31) else 10  # the first of each is carried by nobody
        usage += [
            usage_event(
                f"u{n}",
                at(0),
                work_item_id=f"I-{n}",
                model=model,
                requests=3,
                input_tokens=10_000 if model == "large" else 600_000,
            ),
            usage_event(
                f"v{n}",
                at(0),
                work_item_id=f"I-{n}",
                model=other,
                input_tokens=share if other == "large" else share * 60,
            ),
        ]
        if n in (0, 31):
            usage.append(usage_event(f"x{n}", at(0), work_item_id=f"I-{n}", model="unlisted", input_tokens=50_000))
        items += [item_event(f"w{n}", at(1), "completed", work_item_id=f"I-{n}", item_type="story", size_milli=3000)]
    store.add(World(usage, items, at(1)))
    store.write(watermark=at(1))
    floor(migrated, "acme", "0")
    rows = select(migrated, "SELECT * FROM v_model_comparison ORDER BY model")
    assert [(row["model"], row["items"], row["size"], row["null_reason"]) for row in rows] == [
        ("large", 30, "medium", ""),
        ("small", 30, "medium", ""),
    ]
    assert rows[0]["items_share"] == pytest.approx(30 / 62)
    assert rows[0]["unit_cost_micro_usd"] == pytest.approx(150_000 + 10 * 60 * 250_001 / 1e6, abs=1)
    migrated.command("ALTER TABLE work_items DELETE WHERE work_item_id = 'I-5'", settings={"mutations_sync": 2})
    few = select(migrated, "SELECT items, value, null_reason FROM v_model_comparison WHERE model = 'large'")
    assert few == [{"items": 29, "value": None, "null_reason": "few_items"}]


def test_the_watermark_is_the_slowest_part_of_the_window_agent(migrated: Client) -> None:
    store = RightStore(migrated)
    store.add(World([usage_event("u", at(3))], [], at(3)))
    store.write()
    shown = "SELECT toUnixTimestamp64Micro(watermark) FROM v_watermark"
    assert migrated.query(shown).result_rows == [(at(3),)]
    insert(
        migrated, "window_checkpoints", [store.window_checkpoint(at(2)), store.window_checkpoint(at(1)) | {"upart": 1}]
    )
    assert migrated.query(shown).result_rows == [(at(1),)]


def test_every_column_has_a_comment_and_the_page_says_the_same(migrated: Client) -> None:
    text = page(migrated)
    assert "|  |" not in text
    for name in ("v_value_windows", "v_spend_fate_daily", "v_work_items", "v_model_comparison", "v_watermark"):
        assert f"## {name}\n" in text
    assert PAGE.read_text("utf-8") == text, "run: python -m tests.store.views_page URL > docs/reference/views.md"
