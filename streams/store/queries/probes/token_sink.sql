-- Of each team the open item, old enough, that took most of its spend of 28 days: more than a share, and an amount at least.
WITH
    toDate(fromUnixTimestamp64Micro({now:Int64})) - 28 AS since,
    used AS (
        SELECT tenant, team, kpart, work_item_id, sum(standard_cost_micro_usd) AS cost FROM work_item_usage FINAL
        WHERE usage_day >= since AND team != ''
        GROUP BY tenant, team, kpart, work_item_id
        HAVING cost >= {floor_micro_usd:Int64}
    ),
    spent AS (
        SELECT tenant, team, sum(standard_cost_micro_usd) AS cost FROM panes FINAL WHERE pane_start >= since GROUP BY tenant, team
    )
SELECT
    toString(u.tenant) AS tenant, toString(u.team) AS team,
    max(intDiv(1000 * u.cost, greatest(s.cost, 1))) AS value, toInt64(0) AS baseline, {least_share_per_mille:Int64} AS threshold, max(u.cost) AS spend_micro_usd,
    argMax(intDiv({now:Int64} - toUnixTimestamp64Micro(i.first_event_at), 86400000000), u.cost) AS amount, max(s.cost) AS of,
    [argMax(u.work_item_id, u.cost)] AS names
FROM used AS u
INNER JOIN spent AS s ON s.tenant = u.tenant AND s.team = u.team
INNER JOIN (
    SELECT kpart, tenant, work_item_id, first_event_at FROM work_items FINAL
    WHERE state = 'open' AND notEmpty(history) AND first_event_at < fromUnixTimestamp64Micro({now:Int64}) - toIntervalDay({least_days:Int64})
) AS i ON i.kpart = u.kpart AND i.tenant = u.tenant AND i.work_item_id = u.work_item_id
WHERE 1000 * u.cost > {least_share_per_mille:Int64} * s.cost
GROUP BY u.tenant, u.team
