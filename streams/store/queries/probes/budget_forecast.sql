-- Teams (or, without a team, tenants) that will have spent more than their budget at the end of the month (told from some day on), or have used up
-- a share of it.
WITH
    fromUnixTimestamp64Micro({now:Int64}) AS present,
    toDateTime64(toStartOfMonth(present), 6, 'UTC') AS begin,
    (toUnixTimestamp64Micro(present) - toUnixTimestamp64Micro(begin)) / 86400000000 AS days,
    toDayOfMonth(toLastDayOfMonth(present)) AS whole,
    budgets AS (SELECT b.1 AS tenant, b.2 AS team, b.3 AS budget FROM (SELECT arrayJoin(arrayZip({tenants:Array(String)}, {teams:Array(String)}, {budgets:Array(Int64)})) AS b)),
    spent AS (
        SELECT tenant, team, sum(cost) AS cost
        FROM (
            SELECT toString(tenant) AS tenant, arrayJoin([toString(team), '']) AS team, standard_cost_micro_usd AS cost FROM panes FINAL
            WHERE pane_start >= begin AND tenant IN {tenants:Array(String)}
        )
        GROUP BY tenant, team
    )
SELECT
    b.tenant AS tenant, b.team AS team,
    intDiv(1000 * amount, greatest(of, 1)) AS value, toInt64(0) AS baseline,
    toInt64(multiIf(amount > s.cost, {forecast_factor_per_mille:Int64}, s.cost >= b.budget, greatest(1000, {used_share_per_mille:Int64}), {used_share_per_mille:Int64})) AS threshold, s.cost AS spend_micro_usd,
    if(s.cost < b.budget AND days >= {least_days:Int64} AND 1000 * s.cost * whole / days >= {forecast_factor_per_mille:Int64} * b.budget, toInt64(s.cost * whole / days), s.cost) AS amount, b.budget AS of,
    CAST([], 'Array(String)') AS names
FROM budgets AS b
INNER JOIN spent AS s ON s.tenant = b.tenant AND s.team = b.team
WHERE 1000 * s.cost >= {used_share_per_mille:Int64} * b.budget OR days >= {least_days:Int64} AND 1000 * amount >= {forecast_factor_per_mille:Int64} * of
