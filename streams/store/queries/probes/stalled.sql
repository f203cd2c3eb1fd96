-- Teams of whose items that ended in 28 days, one way or another, many ended without a word: open, and nothing seen of them for 28 days.
WITH
    fromUnixTimestamp64Micro({now:Int64}) AS present,
    ends AS (
        SELECT
            i.tenant AS tenant, i.team AS team,
            multiIf(i.state = 'open', 'stalled', 'closed') AS how,
            multiIf(i.state = 'completed', i.completed_at, i.state = 'canceled', i.canceled_at, greatest(i.last_event_at, u.last_at) + INTERVAL 28 DAY) AS at
        FROM (SELECT * FROM work_items FINAL WHERE notEmpty(history) AND NOT container AND NOT evidence) AS i
        LEFT JOIN (
            SELECT kpart, tenant, work_item_id, max(last_at) AS last_at FROM work_item_usage FINAL GROUP BY kpart, tenant, work_item_id
        ) AS u ON u.kpart = i.kpart AND u.tenant = i.tenant AND u.work_item_id = i.work_item_id
    )
SELECT
    toString(tenant) AS tenant, toString(team) AS team,
    intDiv(1000 * amount, greatest(of, 1)) AS value,
    intDiv(1000 * toInt64(countIf(how = 'stalled' AND at <= present - INTERVAL 28 DAY)), greatest(toInt64(countIf(at <= present - INTERVAL 28 DAY)), 1)) AS baseline,
    greatest(intDiv({factor_per_mille:Int64} * baseline, 1000), {least_share_per_mille:Int64}) AS threshold, toInt64(0) AS spend_micro_usd,
    toInt64(countIf(how = 'stalled' AND at > present - INTERVAL 28 DAY)) AS amount, toInt64(countIf(at > present - INTERVAL 28 DAY)) AS of,
    CAST([], 'Array(String)') AS names
FROM ends
WHERE at > present - INTERVAL 56 DAY AND at <= present
GROUP BY tenant, team
HAVING amount >= {least_items:Int64} AND value >= threshold
