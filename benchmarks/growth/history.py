"""A company's days in ClickHouse, made inside the engine, and what an analyst asks about them.

A team makes EVENTS_PER_TEAM_DAY raw events a day, has 6 series, opens ITEMS_PER_TEAM_DAY items a day, and works 10 hours a day, in which every
series has a pane every five minutes and every group its windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

END_S: Final = 1_790_000_000 // 86_400 * 86_400
EVENTS_PER_TEAM_DAY: Final = 5_000
"""As in the benchmark's traffic."""
ITEMS_PER_TEAM_DAY: Final = 10
LINES_PER_ITEM: Final = 3
PER_INSERT: Final = 1_000_000
_PANES_PER_DAY: Final = 120
_KEYS: Final = "0 AS kpart, 'acme' AS tenant"
_TEAM_TOOL_MODEL: Final = "concat('team-', toString({team})) AS team, concat('tool-', toString({number} % 2)) AS tool, concat('model-', toString({number} % 3)) AS model"

RAW: Final = f"""
INSERT INTO usage_events
    (kpart, tenant, team, tool, model, koff, version, appended_at, event_id, occurred_at, source, actor, provider, operation, activity,
     work_item_id, session_id, prompt_fingerprint, input_tokens, cache_read_tokens, output_tokens, requests, usage_quality, cost_basis, status)
SELECT
    {_KEYS}, {_TEAM_TOOL_MODEL.format(team="number % {teams}", number="intHash32(number)")}, number, 1,
    toDateTime64({{begin_s}} + number * {{days}} * 86400 / {{total}}, 6, 'UTC') AS at, lower(hex(sipHash128(number))), at, 'gateway',
    concat('person-', toString(number % {{teams}}), '-', toString(intHash32(number) % 10)), 'a', 'chat', 'build',
    concat('ITEM-', toString(intDiv(number, {EVENTS_PER_TEAM_DAY // ITEMS_PER_TEAM_DAY} * {{teams}}) * {{teams}} + number % {{teams}})),
    hex(intHash64(intDiv(number, 50))), '', intHash32(number) % 10000, intHash32(number + 1) % 100000, intHash32(number + 2) % 2000, 1, 'full',
    'billed', 'ok'
FROM numbers({{first}}, {{count}})
"""
LINES: Final = f"""
INSERT INTO work_item_usage
    (kpart, tenant, team, tool, model, work_item_id, usage_day, requests, known_requests, input_tokens, output_tokens, tokens,
     standard_cost_micro_usd, cost_micro_usd, last_at, usage_next, items_next, version)
SELECT
    {_KEYS}, {_TEAM_TOOL_MODEL.format(team="item % {teams}", number="number")}, concat('ITEM-', toString(intDiv(number, {LINES_PER_ITEM}) AS item)),
    toDate({{begin_s}} + intDiv(item, {{teams}} * {ITEMS_PER_TEAM_DAY}) * 86400) AS day, 100, 100, 1000000, 50000, 1050000, 1000000, 1000000,
    toDateTime64(day, 6, 'UTC'), 1, 1, 1
FROM numbers({{first}}, {{count}})
"""
ITEMS: Final = f"""
INSERT INTO work_items
    (kpart, tenant, team, work_item_id, state, item_type, size_milli, rule, work_class, assistance, value_milli, value_assisted, first_event_at,
     last_event_at, started_at, first_completed_at, completed_at, history, usage_next, items_next, version)
SELECT
    {_KEYS}, concat('team-', toString(number % {{teams}})), concat('ITEM-', toString(number)), if(number % 5 = 0, 'open', 'completed') AS state_,
    if(number % 3 = 0, 'bug', 'story'), 1000 * (number % 8), 1, ['core', 'supporting', 'low_value'][number % 3 + 1], 'assisted', 1000,
    1, toDateTime64({{begin_s}} + intDiv(number, {{teams}} * {ITEMS_PER_TEAM_DAY}) * 86400, 6, 'UTC') AS at, at, at,
    if(state_ = 'open', toDateTime64(0, 6, 'UTC'), at) AS done, done,
    [(at, toString(number), 'started', '', '', [], 0, '', '', ''), (at, concat(toString(number), 'c'), 'completed', '', '', [], 0, '', '', '')],
    1, 1, 1
FROM numbers({{first}}, {{count}})
"""
PANES: Final = f"""
INSERT INTO panes
    (kpart, tenant, team, tool, model, pane_start, requests, input_tokens, output_tokens, tokens, standard_cost_micro_usd, unattributed_requests,
     unattributed_tokens, unattributed_standard_cost_micro_usd, usage_next, items_next, version)
SELECT
    {_KEYS}, {_TEAM_TOOL_MODEL.format(team="intDiv(number, 6) % {teams}", number="number")},
    toDateTime64({{begin_s}} + intDiv(slot, {_PANES_PER_DAY}) * 86400 + 28800 + slot % {_PANES_PER_DAY} * 300, 6, 'UTC'), 5, 50000, 2000, 52000, 50000,
    number % 7 = 0, 1000 * (number % 7 = 0), 1000 * (number % 7 = 0), 1, 1, 1
FROM (SELECT number, intDiv(number, 6 * {{teams}}) AS slot FROM numbers({{first}}, {{count}}))
"""
WINDOWS: Final = f"""
INSERT INTO value_windows
    (tenant, grouping, team, tool, model, work_class, size, window_end, requests, tokens, input_tokens, standard_cost_micro_usd, items_completed,
     items_assisted, value_credited_milli, assisted_value_credited_milli, matched_standard_cost_micro_usd_credited, contributors, status, watermark,
     written_at, version)
SELECT
    'acme', ['team', 'team_tool', 'team_tool', 'team_model', 'team_model', 'team_model', 'team_class', 'team_class'][kind],
    concat('team-', toString(intDiv(number, 8) % {{teams}})),
    if(kind IN (2, 3), concat('tool-', toString(kind)), ''), if(kind IN (4, 5, 6), concat('model-', toString(kind)), ''), if(kind > 6, ['core', 'low_value'][kind - 6], ''),
    multiIf(slot % 161 < 132, '1h', slot % 161 < 156, '24h', slot % 161 < 160, '7d', '28d') AS size,
    toDateTime({{begin_s}} + intDiv(slot, 161) * 86400 + multiIf(size = '1h', 28800 + slot % 161 * 300, size = '24h', (slot % 161 - 132) * 3600, size = '7d', (slot % 161 - 156) * 21600, 0), 'UTC'),
    intHash32(number) % 1000, intHash32(number) % 10000000, intHash32(number) % 5000000, intHash32(number) % 9000000, 10 * (kind = 1), 8 * (kind IN (1, 7)), 9000 * (kind IN (1, 7)),
    8000 * (kind IN (1, 7)), intHash32(number) % 5000000 * (kind IN (1, 7)), 10, 'final', toDateTime64({END_S}, 6, 'UTC'), toDateTime64({END_S}, 6, 'UTC'), 1
FROM (SELECT number, number % 8 + 1 AS kind, intDiv(number, 8 * {{teams}}) AS slot FROM numbers({{first}}, {{count}}))
"""
CHECKPOINT: Final = f"""
INSERT INTO window_checkpoints (upart, next_offset, watermark, written_at, version)
VALUES (0, 1, toDateTime64({END_S}, 6, 'UTC'), toDateTime64({END_S}, 6, 'UTC'), 1)
"""

_RECENT: Final = f"toDate({END_S}) - 30"
QUERIES: Final = {
    "weeks": f"SELECT team, window_end, tokens, core_per_mtok FROM v_value_windows WHERE tenant = 'acme' AND grouping = 'team' AND size = '7d' AND window_end >= {_RECENT}",
    "hours": "SELECT window_end, tokens, core_null_reason FROM v_value_windows WHERE tenant = 'acme' AND grouping = 'team' AND team = 'team-0' "
    f"AND size = '1h' AND window_end >= toDateTime({END_S - 86_400}, 'UTC')",
    "fates": f"SELECT team, fate, sum(standard_cost_micro_usd) FROM v_spend_fate_daily WHERE tenant = 'acme' AND day >= {_RECENT} GROUP BY team, fate",
    "items": f"SELECT * FROM v_work_items WHERE tenant = 'acme' AND team = 'team-0' AND last_event_at >= {_RECENT} ORDER BY tokens DESC LIMIT 20",
    "models": "SELECT * FROM v_model_comparison WHERE tenant = 'acme'",
    "item": "SELECT * FROM v_work_items WHERE tenant = 'acme' AND work_item_id = 'ITEM-7'",
    "raw_item": "SELECT count(), sum(output_tokens) FROM usage_events FINAL WHERE tenant = 'acme' AND work_item_id = 'ITEM-7' "
    "AND (kpart, tenant, team, toStartOfHour(occurred_at)) IN (SELECT kpart, tenant, team, toDateTime(usage_day, 'UTC') + INTERVAL arrayJoin(range(24)) HOUR "
    "FROM work_item_usage WHERE tenant = 'acme' AND work_item_id = 'ITEM-7')",
}
"""weeks: every team's weeks of a month; hours: one team's last day; fates: where a month's spend of each team went; items: a team's dearest items
of a month; models: models compared; item: one item, as `tokenworth explain` asks for it; raw_item: its raw events, as docs/reference/views.md says."""  # fmt: skip


@dataclass(frozen=True, slots=True)
class Company:
    """So many teams for so many days up to END_S."""

    teams: int
    days: int

    @classmethod
    def of(cls, raw: int, *, days: int = 0, teams: int = 0) -> Company:
        """The one that makes so many raw events in some days, or with some teams."""
        most = max(round(raw / EVENTS_PER_TEAM_DAY / (days or teams)), 1)
        return cls(most, days) if days else cls(teams, most)


def fill(client: Any, raw: int, company: Company) -> int:
    """Fill the tables of one database; returns the number of result rows."""
    team_days = company.teams * company.days
    items = min(team_days * ITEMS_PER_TEAM_DAY, max(raw // 10, 1))
    share = min(
        raw / (team_days * EVENTS_PER_TEAM_DAY), 1
    )  # of its days that a company with one team and few events has
    results = {
        LINES: items * LINES_PER_ITEM,
        ITEMS: items,
        PANES: round(team_days * _PANES_PER_DAY * 6 * share),
        WINDOWS: round(team_days * 161 * 8 * share),
    }
    of = {"teams": company.teams, "days": company.days, "begin_s": END_S - company.days * 86_400}
    for sql, total in {RAW: raw, **results}.items():
        for first in range(0, total, PER_INSERT):
            client.command(sql.format(total=total, first=first, count=min(PER_INSERT, total - first), **of))
    client.command(CHECKPOINT)
    return sum(results.values())
