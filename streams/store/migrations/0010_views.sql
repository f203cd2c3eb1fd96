-- Views for analysts. They read with FINAL, know no kpart, and keep the privacy floor: of a group with fewer contributors than the tenant's
-- setting privacy_floor asks for (5 unless it is set) they show no usage. Names without v_ are parts of other views and keep no floor.

-- One row: the event time up to which results are complete.
CREATE OR REPLACE VIEW v_watermark {on_cluster} (
    watermark DateTime64(6, 'UTC') COMMENT 'results before it are complete but for late events; the window agent''s, or before it ever ran the latest event''s'
) AS
SELECT if(count() > 0, min(watermark), (SELECT max(greatest(usage_watermark, items_watermark)) FROM checkpoints FINAL)) AS watermark
FROM window_checkpoints FINAL
COMMENT 'The event time up to which results are complete.';

-- One row is a tenant with a privacy floor of its own.
CREATE OR REPLACE VIEW privacy_floors {on_cluster} AS
SELECT toString(tenant) AS tenant, toInt64OrDefault(value, toInt64(5)) AS floor, 1 AS is_set
FROM tenant_settings FINAL
WHERE name = 'privacy_floor'
COMMENT 'Tenants with a privacy floor of their own.';

-- One row is a team and the number of people in its latest 28-day window.
CREATE OR REPLACE VIEW team_sizes {on_cluster} AS
SELECT toString(tenant) AS tenant, toString(team) AS team, argMax(contributors, window_end) AS people
FROM value_windows FINAL
WHERE grouping = 'team' AND size = '28d'
GROUP BY tenant, team
COMMENT 'People of each team, for the privacy floor.';

-- One row is the spend of a team on one day that came to one fate; see v_spend_fate_daily.
CREATE OR REPLACE VIEW spend_fates {on_cluster} AS
SELECT
    tenant, team, day, fate, expected_class,
    sum(fated.requests) AS requests, sum(fated.tokens) AS tokens, sum(fated.standard_cost_micro_usd) AS standard_cost_micro_usd
FROM (
    SELECT
        toString(l.tenant) AS tenant,
        toString(l.team) AS team,
        l.usage_day AS day,
        multiIf(
            i.state = '', 'unknown_item',
            i.state = 'canceled' AND l.usage_day > toDate(i.canceled_at) + 14, 'after_close',
            i.state = 'canceled', 'canceled',
            i.state = 'completed' AND l.usage_day > toDate(i.completed_at) + 14, 'after_close',
            i.state = 'completed', toString(i.work_class),
            i.container OR i.evidence, 'excluded',
            greatest(i.last_event_at, u.last_usage_at) < (SELECT watermark FROM v_watermark) - INTERVAL 28 DAY, 'stalled',
            'in_flight') AS fate,
        if(fate IN ('stalled', 'in_flight'), toString(i.work_class), '') AS expected_class,
        l.requests AS requests,
        l.tokens AS tokens,
        l.standard_cost_micro_usd AS standard_cost_micro_usd
    FROM work_item_usage AS l FINAL
    LEFT JOIN (
        SELECT kpart, tenant, work_item_id, state, work_class, container, evidence, canceled_at, completed_at, last_event_at FROM work_items FINAL
        WHERE notEmpty(history)
    ) AS i ON i.kpart = l.kpart AND i.tenant = l.tenant AND i.work_item_id = l.work_item_id
    LEFT JOIN (
        SELECT kpart, tenant, work_item_id, max(last_at) AS last_usage_at FROM work_item_usage FINAL GROUP BY kpart, tenant, work_item_id
    ) AS u ON u.kpart = l.kpart AND u.tenant = l.tenant AND u.work_item_id = l.work_item_id

    UNION ALL

    SELECT
        toString(tenant), toString(team), toDate(pane_start), without_item.1, '', without_item.2, without_item.3, without_item.4
    FROM panes FINAL
    ARRAY JOIN [
        ('unattributed', unattributed_requests, unattributed_tokens, unattributed_standard_cost_micro_usd),
        ('enabling', enabling_requests, enabling_tokens, enabling_standard_cost_micro_usd)
    ] AS without_item
    WHERE without_item.2 != 0
) AS fated
GROUP BY tenant, team, day, fate, expected_class
COMMENT 'Fates of spend by team, without the privacy floor.';

-- Where the spend of each day ended, by the present state of its work items. Every token of a day is in exactly one fate.
CREATE OR REPLACE VIEW v_spend_fate_daily {on_cluster} (
    tenant String COMMENT 'tenant',
    team String COMMENT 'team that spent; (small teams): those whose latest 28-day window has fewer people than the privacy floor, together',
    day Date COMMENT 'day of the usage, UTC',
    fate String COMMENT 'core, supporting or low_value: completed, by work class; canceled; stalled: open, unseen for 28 days; in_flight: open; enabling: no item, but review, operate or explore; unattributed: no item; unknown_item: no event ever named the item; after_close: more than 14 days after it was closed; excluded: containers, evidence, closed without work',
    expected_class String COMMENT 'of in_flight and stalled spend the class that the item would have; else empty',
    requests Int64 COMMENT 'model requests',
    tokens Int64 COMMENT 'all tokens',
    standard_cost_micro_usd Int64 COMMENT 'tokens at the price book, micro-USD'
) AS
SELECT
    f.tenant AS tenant,
    if(t.people >= if(p.is_set, p.floor, 5), f.team, '(small teams)') AS team,
    f.day AS day,
    f.fate AS fate,
    f.expected_class AS expected_class,
    sum(f.requests) AS requests,
    sum(f.tokens) AS tokens,
    sum(f.standard_cost_micro_usd) AS standard_cost_micro_usd
FROM spend_fates AS f
LEFT JOIN team_sizes AS t ON t.tenant = f.tenant AND t.team = f.team
LEFT JOIN privacy_floors AS p ON p.tenant = f.tenant
GROUP BY tenant, team, day, fate, expected_class
COMMENT 'Where the spend of each day ended, by the present state of its work items. One row: tenant, team, day, fate, expected class.';

-- Rolling windows with their ratios. Core value is that of work class core; its ratios stand in the rows of tenant and team, and in their
-- rows of class core.
CREATE OR REPLACE VIEW v_value_windows {on_cluster} (
    tenant String COMMENT 'tenant',
    grouping String COMMENT 'what one row is: tenant, team, team_tool, team_model, team_class, tenant_tool, tenant_model or tenant_class',
    team String COMMENT 'empty where the grouping has no team',
    tool String COMMENT 'empty where the grouping has no tool',
    model String COMMENT 'empty where the grouping has no model',
    work_class String COMMENT 'core, supporting, low_value or excluded; empty: usage, which has no class, and groupings without class',
    size String COMMENT '1h, 24h, 7d or 28d',
    window_start DateTime('UTC') COMMENT 'inclusive',
    window_end DateTime('UTC') COMMENT 'exclusive; a multiple of the slide: 5 minutes, 1 hour, 6 hours, 1 day',
    status String COMMENT 'provisional: still open to events in time; final',
    revision UInt32 COMMENT 'times that late events changed the final window',
    watermark DateTime64(6, 'UTC') COMMENT 'event time up to which input was complete when the row was written',
    requests Nullable(Int64) COMMENT 'model requests',
    failed_requests Nullable(Int64) COMMENT 'of these, requests whose status was not ok',
    partial_requests Nullable(Int64) COMMENT 'requests whose usage the source reported in part',
    unknown_requests Nullable(Int64) COMMENT 'requests whose usage nobody reported: they count in no other measure of tokens or cost',
    unpriced_requests Nullable(Int64) COMMENT 'requests of models that the price book lacks; its default line prices them',
    requests_without_cost Nullable(Int64) COMMENT 'requests for which the source reported no cost',
    input_tokens Nullable(Int64) COMMENT 'input tokens that were neither read from nor written to a cache',
    cache_read_tokens Nullable(Int64) COMMENT 'input tokens read from a cache',
    cache_write_5m_tokens Nullable(Int64) COMMENT 'input tokens written to a cache for 5 minutes',
    cache_write_1h_tokens Nullable(Int64) COMMENT 'input tokens written to a cache for an hour',
    output_tokens Nullable(Int64) COMMENT 'output tokens',
    reasoning_tokens Nullable(Int64) COMMENT 'the part of output_tokens that was reasoning',
    tokens Nullable(Int64) COMMENT 'all tokens: input, cache reads, cache writes and output',
    standard_cost_micro_usd Nullable(Int64) COMMENT 'tokens at the price book, micro-USD; comparable between models and contracts',
    cost_micro_usd Nullable(Int64) COMMENT 'what sources reported as billed, micro-USD',
    other_cost_micro_usd Nullable(Int64) COMMENT 'what sources reported on another basis (list, estimated, seat), micro-USD',
    unattributed_requests Nullable(Int64) COMMENT 'requests without a work item that are not enabling',
    unattributed_tokens Nullable(Int64) COMMENT 'their tokens',
    unattributed_standard_cost_micro_usd Nullable(Int64) COMMENT 'their standard cost, micro-USD',
    enabling_requests Nullable(Int64) COMMENT 'requests without a work item whose activity is review, operate or explore',
    enabling_tokens Nullable(Int64) COMMENT 'their tokens',
    enabling_standard_cost_micro_usd Nullable(Int64) COMMENT 'their standard cost, micro-USD',
    repeated_prompts Nullable(Int64) COMMENT 'requests that repeat a prompt of the same actor and work item within five minutes',
    items_completed Int64 COMMENT 'completions that count (not containers, evidence or closed without work)',
    items_assisted Int64 COMMENT 'of these, with at least 3 requests and 10,000 weighted tokens by the day of completion',
    items_assisted_unknown Int64 COMMENT 'of these, with requests of unknown usage only',
    items_lightly_assisted Int64 COMMENT 'of these, with fewer requests or tokens than assisted ones',
    items_unassisted Int64 COMMENT 'of these, without any request',
    items_closed_without_work Int64 COMMENT 'completions of items that were never started, linked or used: worth 0',
    items_reopened Int64 COMMENT 'completed items that were opened again',
    items_canceled Int64 COMMENT 'items canceled, deleted, moved or closed as duplicates',
    value_credited_milli Int64 COMMENT 'value of completions, in thousandths of a typical core item',
    value_debited_milli Int64 COMMENT 'value taken back when items were reopened, canceled, reclassified or became evidence',
    assisted_value_credited_milli Int64 COMMENT 'the part of value_credited_milli from assisted items whose usage is all of full quality',
    assisted_value_debited_milli Int64 COMMENT 'the part of value_debited_milli from such items',
    matched_tokens_credited Nullable(Int64) COMMENT 'tokens of completed items, up to 14 days after the completion, booked at its time',
    matched_tokens_debited Nullable(Int64) COMMENT 'the same, taken back',
    matched_standard_cost_micro_usd_credited Nullable(Int64) COMMENT 'standard cost of completed items, up to 14 days after the completion, booked at its time',
    matched_standard_cost_micro_usd_debited Nullable(Int64) COMMENT 'the same, taken back',
    abandoned_tokens_booked Nullable(Int64) COMMENT 'tokens of canceled items, booked at the cancellation',
    abandoned_tokens_reversed Nullable(Int64) COMMENT 'the same, taken back when the item was opened again',
    abandoned_standard_cost_micro_usd_booked Nullable(Int64) COMMENT 'standard cost of canceled items, booked at the cancellation',
    abandoned_standard_cost_micro_usd_reversed Nullable(Int64) COMMENT 'the same, taken back when the item was opened again',
    contributors Nullable(Int64) COMMENT 'distinct actors of usage events; of a class row those of the group without class',
    suppressed_reason String COMMENT 'below_privacy_floor: too few contributors to show usage, which is NULL; else empty',
    net_value_milli Int64 COMMENT 'value credited minus debited, thousandths of a typical core item; all classes unless the row has one',
    net_core_value_milli Nullable(Int64) COMMENT 'core work: net value of class core over all items; NULL: see core_null_reason',
    core_null_reason String COMMENT 'why there is no core value: no_work_class (a grouping by tool or model), not_core (a row of another class), window_too_short (core value of 1h and 24h windows stands in their core rows); else empty',
    core_per_mtok Nullable(Float64) COMMENT 'net value of assisted core items per million weighted tokens spent in the window, enabling spend left out; a weighted token costs the reference price of the book',
    core_per_mtok_null_reason String COMMENT 'why core_per_mtok is NULL: that of core_null_reason, window_too_short, below_privacy_floor, few_assisted_items (under 5), no_net_value, no_usage; else empty',
    core_per_raw_mtok Nullable(Float64) COMMENT 'the same per million tokens of any kind',
    core_per_raw_mtok_null_reason String COMMENT 'likewise',
    unit_cost_micro_usd Nullable(Float64) COMMENT 'net standard cost matched to completed core items per net assisted core value of 1, micro-USD',
    unit_cost_null_reason String COMMENT 'likewise',
    partial_request_share Nullable(Float64) COMMENT 'share of the requests behind the ratios whose usage was reported in part; NULL: no requests, or below the privacy floor',
    unknown_request_share Nullable(Float64) COMMENT 'share of them whose usage nobody reported',
    unpriced_request_share Nullable(Float64) COMMENT 'share of them whose model the price book lacks',
    unattributed_cost_share Nullable(Float64) COMMENT 'share of their standard cost without a work item, enabling left out',
    enabling_cost_share Nullable(Float64) COMMENT 'share of their standard cost that is enabling',
    reopened_share Nullable(Float64) COMMENT 'items reopened per item completed in the window, all classes; NULL: none completed'
) AS
WITH
    ifNull((SELECT argMaxOrNull(input_price, effective_from) FROM price_book FINAL WHERE model = '*'), 3000000) AS reference_price,
    -- A group's usage and the outcome of its core items, which stand in different rows.
    pair AS (
        WITH work_class = 'core' AS is_core
        SELECT
            toString(tenant) AS tenant,
            if(grouping IN ('team', 'team_class'), 'team', 'tenant') AS base,
            toString(team) AS team,
            toString(size) AS size,
            window_end,
            sumIf(requests, NOT is_core) AS requests,
            sumIf(partial_requests, NOT is_core) AS partial_requests,
            sumIf(unknown_requests, NOT is_core) AS unknown_requests,
            sumIf(unpriced_requests, NOT is_core) AS unpriced_requests,
            sumIf(tokens, NOT is_core) AS tokens,
            sumIf(enabling_tokens, NOT is_core) AS enabling_tokens,
            sumIf(standard_cost_micro_usd, NOT is_core) AS cost,
            sumIf(enabling_standard_cost_micro_usd, NOT is_core) AS enabling_cost,
            sumIf(unattributed_standard_cost_micro_usd, NOT is_core) AS unattributed_cost,
            sumIf(items_completed, NOT is_core) AS completed,
            sumIf(items_reopened, NOT is_core) AS reopened,
            sumIf(items_assisted, is_core) AS assisted_core_items,
            sumIf(value_credited_milli - value_debited_milli, is_core) AS net_core_value,
            sumIf(assisted_value_credited_milli - assisted_value_debited_milli, is_core) AS net_assisted_value,
            sumIf(matched_standard_cost_micro_usd_credited - matched_standard_cost_micro_usd_debited, is_core) AS net_matched_cost
        FROM value_windows FINAL
        WHERE size IN ('7d', '28d') AND (grouping IN ('tenant', 'team') OR (grouping IN ('tenant_class', 'team_class') AND work_class = 'core'))
        GROUP BY tenant, base, team, size, window_end
    )
SELECT
    toString(w.tenant) AS tenant,
    toString(w.grouping) AS grouping,
    toString(w.team) AS team,
    toString(w.tool) AS tool,
    toString(w.model) AS model,
    toString(w.work_class) AS work_class,
    toString(w.size) AS size,
    w.window_end - transform(toString(w.size), ['1h', '24h', '7d', '28d'], [3600, 86400, 604800, 2419200], 0) AS window_start,
    w.window_end AS window_end,
    toString(w.status) AS status,
    w.revision AS revision,
    w.watermark AS watermark,
    if(is_suppressed, NULL, w.requests) AS requests,
    if(is_suppressed, NULL, w.failed_requests) AS failed_requests,
    if(is_suppressed, NULL, w.partial_requests) AS partial_requests,
    if(is_suppressed, NULL, w.unknown_requests) AS unknown_requests,
    if(is_suppressed, NULL, w.unpriced_requests) AS unpriced_requests,
    if(is_suppressed, NULL, w.requests_without_cost) AS requests_without_cost,
    if(is_suppressed, NULL, w.input_tokens) AS input_tokens,
    if(is_suppressed, NULL, w.cache_read_tokens) AS cache_read_tokens,
    if(is_suppressed, NULL, w.cache_write_5m_tokens) AS cache_write_5m_tokens,
    if(is_suppressed, NULL, w.cache_write_1h_tokens) AS cache_write_1h_tokens,
    if(is_suppressed, NULL, w.output_tokens) AS output_tokens,
    if(is_suppressed, NULL, w.reasoning_tokens) AS reasoning_tokens,
    if(is_suppressed, NULL, w.tokens) AS tokens,
    if(is_suppressed, NULL, w.standard_cost_micro_usd) AS standard_cost_micro_usd,
    if(is_suppressed, NULL, w.cost_micro_usd) AS cost_micro_usd,
    if(is_suppressed, NULL, w.other_cost_micro_usd) AS other_cost_micro_usd,
    if(is_suppressed, NULL, w.unattributed_requests) AS unattributed_requests,
    if(is_suppressed, NULL, w.unattributed_tokens) AS unattributed_tokens,
    if(is_suppressed, NULL, w.unattributed_standard_cost_micro_usd) AS unattributed_standard_cost_micro_usd,
    if(is_suppressed, NULL, w.enabling_requests) AS enabling_requests,
    if(is_suppressed, NULL, w.enabling_tokens) AS enabling_tokens,
    if(is_suppressed, NULL, w.enabling_standard_cost_micro_usd) AS enabling_standard_cost_micro_usd,
    if(is_suppressed, NULL, w.repeated_prompts) AS repeated_prompts,
    w.items_completed AS items_completed,
    w.items_assisted AS items_assisted,
    w.items_assisted_unknown AS items_assisted_unknown,
    w.items_lightly_assisted AS items_lightly_assisted,
    w.items_unassisted AS items_unassisted,
    w.items_closed_without_work AS items_closed_without_work,
    w.items_reopened AS items_reopened,
    w.items_canceled AS items_canceled,
    w.value_credited_milli AS value_credited_milli,
    w.value_debited_milli AS value_debited_milli,
    w.assisted_value_credited_milli AS assisted_value_credited_milli,
    w.assisted_value_debited_milli AS assisted_value_debited_milli,
    if(is_suppressed, NULL, w.matched_tokens_credited) AS matched_tokens_credited,
    if(is_suppressed, NULL, w.matched_tokens_debited) AS matched_tokens_debited,
    if(is_suppressed, NULL, w.matched_standard_cost_micro_usd_credited) AS matched_standard_cost_micro_usd_credited,
    if(is_suppressed, NULL, w.matched_standard_cost_micro_usd_debited) AS matched_standard_cost_micro_usd_debited,
    if(is_suppressed, NULL, w.abandoned_tokens_booked) AS abandoned_tokens_booked,
    if(is_suppressed, NULL, w.abandoned_tokens_reversed) AS abandoned_tokens_reversed,
    if(is_suppressed, NULL, w.abandoned_standard_cost_micro_usd_booked) AS abandoned_standard_cost_micro_usd_booked,
    if(is_suppressed, NULL, w.abandoned_standard_cost_micro_usd_reversed) AS abandoned_standard_cost_micro_usd_reversed,
    if(is_suppressed, NULL, w.contributors) AS contributors,
    if(is_suppressed, 'below_privacy_floor', '') AS suppressed_reason,
    w.value_credited_milli - w.value_debited_milli AS net_value_milli,
    if(core_null_reason != '', NULL, if(w.work_class = 'core', w.value_credited_milli - w.value_debited_milli, pair.net_core_value)) AS net_core_value_milli,
    multiIf(
        w.base = '', 'no_work_class',
        w.grouping IN ('tenant_class', 'team_class') AND w.work_class != 'core', 'not_core',
        w.work_class != 'core' AND w.size NOT IN ('7d', '28d'), 'window_too_short',
        '') AS core_null_reason,
    multiIf(
        core_null_reason != '', core_null_reason,
        w.size NOT IN ('7d', '28d'), 'window_too_short',
        is_suppressed, 'below_privacy_floor',
        pair.assisted_core_items < 5, 'few_assisted_items',
        pair.net_assisted_value <= 0, 'no_net_value',
        '') AS ratio_null_reason,
    if(core_per_mtok_null_reason != '', NULL, pair.net_assisted_value / 1000 / ((pair.cost - pair.enabling_cost) / reference_price)) AS core_per_mtok,
    multiIf(ratio_null_reason != '', ratio_null_reason, pair.cost <= pair.enabling_cost, 'no_usage', '') AS core_per_mtok_null_reason,
    if(core_per_raw_mtok_null_reason != '', NULL, pair.net_assisted_value / 1000 / ((pair.tokens - pair.enabling_tokens) / 1000000)) AS core_per_raw_mtok,
    multiIf(ratio_null_reason != '', ratio_null_reason, pair.tokens <= pair.enabling_tokens, 'no_usage', '') AS core_per_raw_mtok_null_reason,
    if(unit_cost_null_reason != '', NULL, pair.net_matched_cost / (pair.net_assisted_value / 1000)) AS unit_cost_micro_usd,
    multiIf(ratio_null_reason != '', ratio_null_reason, pair.net_matched_cost <= 0, 'no_usage', '') AS unit_cost_null_reason,
    -- The usage behind a class row stands in the row without class.
    w.grouping IN ('tenant_class', 'team_class') AS is_class_row,
    nullIf(if(is_suppressed, 0, if(is_class_row, pair.requests, w.requests)), 0) AS requests_behind,
    nullIf(if(is_suppressed, 0, if(is_class_row, pair.cost, w.standard_cost_micro_usd)), 0) AS cost_behind,
    if(is_class_row, pair.partial_requests, w.partial_requests) / requests_behind AS partial_request_share,
    if(is_class_row, pair.unknown_requests, w.unknown_requests) / requests_behind AS unknown_request_share,
    if(is_class_row, pair.unpriced_requests, w.unpriced_requests) / requests_behind AS unpriced_request_share,
    if(is_class_row, pair.unattributed_cost, w.unattributed_standard_cost_micro_usd) / cost_behind AS unattributed_cost_share,
    if(is_class_row, pair.enabling_cost, w.enabling_standard_cost_micro_usd) / cost_behind AS enabling_cost_share,
    if(is_class_row, pair.reopened, w.items_reopened) / nullIf(if(is_class_row, pair.completed, w.items_completed), 0) AS reopened_share,
    w.grouping NOT IN ('tenant', 'tenant_class') AND w.contributors < if(p.is_set, p.floor, 5) AS is_suppressed
FROM (
    SELECT *, multiIf(grouping IN ('team', 'team_class'), 'team', grouping IN ('tenant', 'tenant_class'), 'tenant', '') AS base FROM value_windows FINAL
) AS w
LEFT JOIN pair ON pair.tenant = w.tenant AND pair.base = w.base AND pair.team = w.team AND pair.size = w.size AND pair.window_end = w.window_end
LEFT JOIN privacy_floors AS p ON p.tenant = w.tenant
COMMENT 'Rolling windows with their ratios. One row: tenant, grouping, team, tool, model, work class, size, window end.';

-- Work items as they stand.
CREATE OR REPLACE VIEW v_work_items {on_cluster} (
    tenant String COMMENT 'tenant',
    work_item_id String COMMENT 'as the tracker names it',
    team String COMMENT 'owning team at the first completion, or now while there is none',
    state String COMMENT 'open, completed or canceled',
    fate String COMMENT 'what its spend counts as: core, supporting or low_value; canceled; excluded; stalled; in_flight. Spend of more than 14 days after it was closed is after_close',
    item_type String COMMENT 'what the value rules matched',
    labels Array(String) COMMENT 'likewise',
    size_points Nullable(Float64) COMMENT 'NULL: unsized',
    parent_id String COMMENT 'empty: none',
    rule UInt16 COMMENT 'number of the value rule that took it',
    work_class String COMMENT 'core, supporting, low_value or excluded; of an open item the class that it would have',
    value Float64 COMMENT 'of the completion in force, in typical core items; 0 while not completed',
    is_assisted_value UInt8 COMMENT '1: its value counts in the ratios: assisted, and all its usage is of full quality',
    assistance String COMMENT 'assisted, assisted_unknown, lightly_assisted, unassisted or closed_without_work, at its last completion; empty: never completed',
    is_container UInt8 COMMENT '1: an epic or the like, worth 0',
    is_evidence UInt8 COMMENT '1: linked as part of another item, worth 0',
    first_event_at DateTime64(6, 'UTC') COMMENT 'of work-item events',
    last_event_at DateTime64(6, 'UTC') COMMENT 'of work-item events',
    started_at Nullable(DateTime64(6, 'UTC')) COMMENT 'first start',
    first_completed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'first completion',
    completed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'the completion in force',
    canceled_at Nullable(DateTime64(6, 'UTC')) COMMENT 'the cancellation in force',
    cycle_time_s Nullable(Float64) COMMENT 'from the first start to the completion in force, seconds',
    last_usage_at Nullable(DateTime64(6, 'UTC')) COMMENT 'NULL: no usage',
    requests Nullable(Int64) COMMENT 'model requests on it, of all teams',
    tokens Nullable(Int64) COMMENT 'all tokens',
    standard_cost_micro_usd Nullable(Int64) COMMENT 'tokens at the price book, micro-USD',
    borrowed_cost_micro_usd Nullable(Int64) COMMENT 'the part of it that other teams spent',
    main_tool Nullable(String) COMMENT 'with main_model: the pair with the largest standard cost',
    main_model Nullable(String) COMMENT 'see main_tool',
    main_cost_share Nullable(Float64) COMMENT 'share of the standard cost that they hold; NULL: no cost',
    suppressed_reason String COMMENT 'below_privacy_floor: the owning team''s latest 28-day window has too few people to show usage, which is NULL; else empty'
) AS
SELECT
    toString(i.tenant) AS tenant,
    i.work_item_id AS work_item_id,
    toString(i.team) AS team,
    toString(i.state) AS state,
    multiIf(
        state = 'canceled', 'canceled',
        state = 'completed', toString(i.work_class),
        i.container OR i.evidence, 'excluded',
        greatest(i.last_event_at, u.last_usage_at) < (SELECT watermark FROM v_watermark) - INTERVAL 28 DAY, 'stalled',
        'in_flight') AS fate,
    toString(i.item_type) AS item_type,
    i.labels AS labels,
    nullIf(i.size_milli, 0) / 1000 AS size_points,
    i.parent_id AS parent_id,
    i.rule AS rule,
    toString(i.work_class) AS work_class,
    i.value_milli / 1000 AS value,
    i.value_assisted AS is_assisted_value,
    toString(i.assistance) AS assistance,
    i.container AS is_container,
    i.evidence AS is_evidence,
    i.first_event_at AS first_event_at,
    i.last_event_at AS last_event_at,
    nullIf(i.started_at, toDateTime64(0, 6, 'UTC')) AS started_at,
    nullIf(i.first_completed_at, toDateTime64(0, 6, 'UTC')) AS first_completed_at,
    nullIf(i.completed_at, toDateTime64(0, 6, 'UTC')) AS completed_at,
    nullIf(i.canceled_at, toDateTime64(0, 6, 'UTC')) AS canceled_at,
    (toUnixTimestamp64Micro(completed_at) - toUnixTimestamp64Micro(started_at)) / 1000000 AS cycle_time_s,
    nullIf(u.last_usage_at, toDateTime64(0, 6, 'UTC')) AS last_usage_at,
    if(is_suppressed, NULL, u.requests) AS requests,
    if(is_suppressed, NULL, u.tokens) AS tokens,
    if(is_suppressed, NULL, u.cost) AS standard_cost_micro_usd,
    if(is_suppressed, NULL, u.cost - b.cost) AS borrowed_cost_micro_usd,
    if(is_suppressed OR u.requests = 0, NULL, u.main.1) AS main_tool,
    if(is_suppressed OR u.requests = 0, NULL, u.main.2) AS main_model,
    if(is_suppressed, NULL, u.main_cost / nullIf(u.cost, 0)) AS main_cost_share,
    if(is_suppressed, 'below_privacy_floor', '') AS suppressed_reason,
    t.people < if(p.is_set, p.floor, 5) AS is_suppressed
FROM (SELECT * FROM work_items FINAL WHERE notEmpty(history)) AS i
LEFT JOIN (
    SELECT
        kpart, tenant, work_item_id, max(latest) AS last_usage_at, sum(place_requests) AS requests, sum(place_tokens) AS tokens, sum(place_cost) AS cost,
        argMin((tool, model), (-place_cost, tool, model)) AS main,
        max(place_cost) AS main_cost
    FROM (
        SELECT
            kpart, tenant, work_item_id, toString(tool) AS tool, toString(model) AS model, max(last_at) AS latest,
            sum(requests) AS place_requests, sum(tokens) AS place_tokens, sum(standard_cost_micro_usd) AS place_cost
        FROM work_item_usage FINAL
        GROUP BY kpart, tenant, work_item_id, tool, model
    )
    GROUP BY kpart, tenant, work_item_id
) AS u ON u.kpart = i.kpart AND u.tenant = i.tenant AND u.work_item_id = i.work_item_id
LEFT JOIN (
    SELECT kpart, tenant, work_item_id, team, sum(standard_cost_micro_usd) AS cost FROM work_item_usage FINAL GROUP BY kpart, tenant, work_item_id, team
) AS b ON b.kpart = i.kpart AND b.tenant = i.tenant AND b.work_item_id = i.work_item_id AND b.team = i.team
LEFT JOIN team_sizes AS t ON t.tenant = i.tenant AND t.team = i.team
LEFT JOIN privacy_floors AS p ON p.tenant = i.tenant
COMMENT 'Work items as they stand. One row: tenant, work item.';

-- Models compared on completed items that one (tool, model) carried: at least 80 % of the standard cost. Within one item type and size, because
-- who gets which model is not by chance.
CREATE OR REPLACE VIEW v_model_comparison {on_cluster} (
    tenant String COMMENT 'tenant',
    item_type String COMMENT 'what the value rules matched',
    size String COMMENT 'small: under 2 points, medium: under 5, large; unsized',
    tool String COMMENT 'that carried the items',
    model String COMMENT 'that carried the items',
    items UInt64 COMMENT 'completed assisted items with usage of full quality that they carried',
    items_share Float64 COMMENT 'share of all such items of this type and size: what the comparison covers',
    value Nullable(Float64) COMMENT 'their value, in typical core items',
    standard_cost_micro_usd Nullable(Int64) COMMENT 'their standard cost, micro-USD',
    unit_cost_micro_usd Nullable(Float64) COMMENT 'standard cost per value of 1, micro-USD',
    null_reason String COMMENT 'why the figures are NULL: few_items (under 30), below_privacy_floor, no_value; else empty'
) AS
SELECT
    tenant, item_type, size, main_tool AS tool, main_model AS model,
    count() AS items,
    items / any(items_of_type) AS items_share,
    if(null_reason != '', NULL, sum(i.value)) AS value,
    if(null_reason != '', NULL, sum(i.standard_cost_micro_usd)) AS standard_cost_micro_usd,
    if(null_reason != '', NULL, sum(i.standard_cost_micro_usd) / sum(i.value)) AS unit_cost_micro_usd,
    multiIf(count() < 30, 'few_items', max(i.suppressed_reason != ''), 'below_privacy_floor', sum(i.value) <= 0, 'no_value', '') AS null_reason
FROM (
    SELECT
        *,
        multiIf(isNull(size_points), 'unsized', size_points < 2, 'small', size_points < 5, 'medium', 'large') AS size,
        count() OVER (PARTITION BY tenant, item_type, size) AS items_of_type
    FROM v_work_items
    WHERE state = 'completed' AND is_assisted_value AND main_model IS NOT NULL
) AS i
WHERE main_cost_share >= 0.8
GROUP BY tenant, item_type, size, main_tool, main_model
COMMENT 'Unit cost of models on items that one of them carried. One row: tenant, item type, size, tool, model.';

-- Comments on the columns of v_alerts, whose statement has none.
ALTER TABLE v_alerts {on_cluster}
    COMMENT COLUMN tenant 'tenant',
    COMMENT COLUMN team 'team that the alert is about',
    COMMENT COLUMN rule 'name of the rule that fired',
    COMMENT COLUMN kind 'page or ticket',
    COMMENT COLUMN state 'pending, firing or resolved',
    COMMENT COLUMN window_size 'size of the windows that the rule judges',
    COMMENT COLUMN started_at 'when the condition began to hold',
    COMMENT COLUMN fired_at 'when it had held long enough; NULL: not yet',
    COMMENT COLUMN resolved_at 'NULL: not yet',
    COMMENT COLUMN changed_at 'end of the window of the latest change',
    COMMENT COLUMN unit 'of value, usual_value and threshold: micro_usd (shown in USD) or per_mille (shown as a share)',
    COMMENT COLUMN value 'what was judged, in the window that fired, or while pending in the one that began',
    COMMENT COLUMN usual_value 'median of the four weeks before; of spend_runaway their 95th percentile',
    COMMENT COLUMN threshold 'value from which on the rule is true; frozen when the alert began',
    COMMENT COLUMN spend_usd 'standard cost of the window, USD',
    COMMENT COLUMN usual_spend_usd 'median of the four weeks before, USD',
    COMMENT COLUMN core_value 'core work of the window, in typical core items',
    COMMENT COLUMN usual_core_value 'median of the four weeks before',
    COMMENT COLUMN delivered '0: fired in old windows only: recorded, not told',
    COMMENT COLUMN summary 'what happened, against what is usual, since when, where to look',
    COMMENT COLUMN fingerprint 'identity of the alert: rule, tenant and team';

ALTER TABLE v_alerts {on_cluster} MODIFY COMMENT 'Alerts that are or were worth telling. One row: an alert from its beginning on.';
