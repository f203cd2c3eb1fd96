-- Spend, core work and core value per Mtok of a tenant, in the windows of one size with the given ends. 24h windows have core work in their
-- core rows only, and no ratio.
SELECT
    toInt64(toUnixTimestamp(window_end)) AS window_end_s,
    sumIf(standard_cost_micro_usd, grouping = 'tenant') / 1e6 AS spend_usd,
    sumIf(net_core_value_milli, work_class = 'core') / 1000 AS core_value,
    anyIf(core_per_mtok, grouping = 'tenant') AS core_per_mtok
FROM v_value_windows
WHERE tenant = {tenant:String} AND (grouping = 'tenant' OR (grouping = 'tenant_class' AND work_class = 'core'))
    AND size = {size:String} AND status = 'final' AND toUnixTimestamp(window_end) IN {ends:Array(Int64)}
GROUP BY window_end
ORDER BY window_end
