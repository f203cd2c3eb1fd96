-- Tenants without a price for a share of the requests of the last day, and the models without one.
WITH latest AS (
    SELECT tenant, max(window_end) AS last_end FROM value_windows
    WHERE grouping = 'tenant_model' AND size = '24h' AND status = 'final' AND window_end > fromUnixTimestamp64Micro({now:Int64}) - INTERVAL 1 DAY
    GROUP BY tenant
)
SELECT
    toString(tenant) AS tenant, '' AS team,
    intDiv(1000 * amount, greatest(of, 1)) AS value, toInt64(0) AS baseline, {least_share_per_mille:Int64} AS threshold, sum(standard_cost_micro_usd) AS spend_micro_usd,
    sum(unpriced_requests) AS amount, sum(requests) AS of,
    arrayMap(found -> if(found.2 = '', '(no name)', found.2), arrayReverseSort(groupArrayIf((unpriced_requests, toString(model)), unpriced_requests > 0))) AS names
FROM value_windows FINAL
WHERE grouping = 'tenant_model' AND size = '24h' AND (tenant, window_end) IN (SELECT tenant, last_end FROM latest)
GROUP BY tenant
HAVING amount > 0 AND 1000 * amount >= {least_share_per_mille:Int64} * of
