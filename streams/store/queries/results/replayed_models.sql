-- What the items that one tool and model carried have cost: a row per team, tool and model, and one of them all together (is_total).
-- Carried: it made all requests, or at least 80 % of the standard cost. The privacy floor of v_work_items leaves out the items of small teams.
-- A cost per completed item counts completed items only, and of these the ones for which it is known: with a reported cost (billed), or with all
-- usage of full quality (standard).
WITH
    used AS (
        SELECT
            work_item_id,
            sum(requests) AS requests,
            sum(tokens) AS tokens,
            sum(cost_micro_usd) AS cost,
            sum(standard_cost_micro_usd) AS standard_cost,
            multiIf(sum(known_requests) = 0, 'unknown', sum(incomplete_events) = 0, 'full', 'partial') AS quality,
            uniqExact(tool, model) = 1 AS is_alone
        FROM work_item_usage FINAL
        WHERE tenant = {tenant:String}
        GROUP BY work_item_id
    ),
    -- The ledger's sums do not tell a reported 0 from no report; usage of unknown quality has no cost, whatever was reported.
    billed AS (
        SELECT work_item_id, countIf(isNull(cost_micro_usd) OR cost_basis != 'billed' OR usage_quality = 'unknown') = 0 AS is_known
        FROM usage_events FINAL
        WHERE tenant = {tenant:String} AND work_item_id != ''
        GROUP BY work_item_id
    ),
    unpriced AS (SELECT DISTINCT model FROM panes FINAL WHERE tenant = {tenant:String} AND unpriced_requests > 0),
    carried AS (
        SELECT
            i.team AS team,
            assumeNotNull(i.main_tool) AS tool,
            assumeNotNull(i.main_model) AS model,
            i.state AS state,
            u.requests AS requests,
            u.tokens AS tokens,
            u.cost AS cost,
            u.standard_cost AS standard_cost,
            u.quality AS quality,
            b.is_known AS is_cost_known
        FROM v_work_items AS i
        INNER JOIN used AS u ON u.work_item_id = i.work_item_id
        INNER JOIN billed AS b ON b.work_item_id = i.work_item_id
        WHERE i.tenant = {tenant:String} AND i.main_model IS NOT NULL AND (u.is_alone OR i.main_cost_share >= 0.8)
    )
SELECT
    toUInt8(grouping(team, tool, model) > 0) AS is_total,
    team, tool, model,
    toInt64(count()) AS items,
    toInt64(countIf(state = 'completed')) AS completed,
    toInt64(countIf(state = 'canceled')) AS canceled,
    toInt64(countIf(quality = 'unknown')) AS unknown_items,
    toInt64(countIf(quality = 'partial')) AS partial_items,
    toInt64(countIf(NOT is_cost_known)) AS items_without_cost,
    toInt64(sum(c.requests)) AS requests,
    if(items = unknown_items, NULL, toInt64(sum(c.tokens))) AS tokens,
    if(items = items_without_cost, NULL, toInt64(sum(c.cost))) AS cost_micro_usd,
    if(items = unknown_items, NULL, toInt64(sum(c.standard_cost))) AS standard_cost_micro_usd,
    countIf(state = 'completed' AND is_cost_known) AS billed_items,
    multiIf(billed_items = 0, 'no_known_cost', billed_items < 30, 'few_items', '') AS cost_null_reason,
    if(cost_null_reason != '', NULL, sumIf(c.cost, state = 'completed' AND is_cost_known) / billed_items) AS cost_per_completed_micro_usd,
    countIf(state = 'completed' AND quality = 'full') AS full_items,
    multiIf(full_items = 0, 'no_full_usage', full_items < 30, 'few_items', '') AS standard_cost_null_reason,
    if(standard_cost_null_reason != '', NULL, sumIf(c.standard_cost, state = 'completed' AND quality = 'full') / full_items)
        AS standard_cost_per_completed_micro_usd,
    sumIf(c.requests, quality = 'full') / nullIf(sum(c.requests), 0) AS full_request_share,
    sumIf(c.standard_cost, quality = 'full') / nullIf(sum(c.standard_cost), 0) AS full_cost_share,
    countIf(is_cost_known) / count() AS known_cost_share,
    toUInt8(max(c.model IN unpriced)) AS is_unpriced,
    sum(c.requests) / (SELECT nullIf(sum(requests), 0) FROM panes FINAL WHERE tenant = {tenant:String}) AS request_share
FROM carried AS c
GROUP BY GROUPING SETS ((team, tool, model), ())
HAVING items > 0
ORDER BY
    is_total, team, cost_per_completed_micro_usd IS NULL, cost_per_completed_micro_usd,
    standard_cost_per_completed_micro_usd IS NULL, standard_cost_per_completed_micro_usd, tool, model
