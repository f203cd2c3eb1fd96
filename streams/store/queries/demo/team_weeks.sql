-- Spend, core work and core value per Mtok of each team, in the 7d windows with the given ends.
SELECT
    team,
    toInt64(toUnixTimestamp(window_end)) AS window_end_s,
    ifNull(standard_cost_micro_usd, 0) / 1e6 AS spend_usd,
    ifNull(net_core_value_milli, 0) / 1000 AS core_value,
    core_per_mtok,
    items_reopened AS reopened
FROM v_value_windows
WHERE tenant = {tenant:String} AND grouping = 'team' AND size = '7d' AND status = 'final' AND toUnixTimestamp(window_end) IN {ends:Array(Int64)}
ORDER BY team, window_end
