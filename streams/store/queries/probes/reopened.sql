-- Teams that reopened many of their completed items in 28 days, and more than in the 28 days before.
WITH
    fromUnixTimestamp64Micro({now:Int64}) AS present,
    latest AS (
        SELECT tenant, team, max(window_end) AS last_end FROM value_windows
        WHERE grouping = 'team' AND size = '28d' AND status = 'final' AND window_end > present - INTERVAL 2 DAY
        GROUP BY tenant, team
    )
SELECT
    toString(w.tenant) AS tenant, toString(w.team) AS team,
    intDiv(1000 * amount, greatest(of, 1)) AS value,
    intDiv(1000 * sumIf(w.items_reopened, w.window_end < l.last_end), greatest(sumIf(w.items_completed, w.window_end < l.last_end), 1)) AS baseline,
    greatest(intDiv({factor_per_mille:Int64} * baseline, 1000), {least_share_per_mille:Int64}) AS threshold, toInt64(0) AS spend_micro_usd,
    sumIf(w.items_reopened, w.window_end = l.last_end) AS amount, sumIf(w.items_completed, w.window_end = l.last_end) AS of,
    CAST([], 'Array(String)') AS names
FROM (SELECT * FROM value_windows FINAL WHERE grouping = 'team' AND size = '28d') AS w
INNER JOIN latest AS l ON l.tenant = w.tenant AND l.team = w.team
WHERE w.window_end IN (l.last_end, l.last_end - INTERVAL 28 DAY)
GROUP BY w.tenant, w.team
HAVING amount >= {least_items:Int64} AND value >= threshold
