-- Tenants that work as usual, of whose items nothing is heard: no completion in a day that has many in other weeks, while its usual requests
-- came. On a holiday requests are missing as well.
WITH latest AS (
    SELECT tenant, max(window_end) AS last_end FROM value_windows
    WHERE grouping = 'tenant' AND size = '24h' AND status = 'final' AND window_end > fromUnixTimestamp64Micro({now:Int64}) - INTERVAL 6 HOUR
    GROUP BY tenant
)
SELECT
    toString(w.tenant) AS tenant, '' AS team,
    toInt64(0) AS value, usual_items AS baseline, toInt64(0) AS threshold, sumIf(w.standard_cost_micro_usd, weeks = 0) AS spend_micro_usd,
    usual_items AS amount, sumIf(w.requests, weeks = 0) AS of, CAST([], 'Array(String)') AS names,
    toInt64(arraySort(groupArrayIf(w.items_completed, weeks > 0))[2]) AS usual_items,
    toInt64(arraySort(groupArrayIf(w.requests, weeks > 0))[2]) AS usual_requests
FROM (SELECT * FROM value_windows FINAL WHERE grouping = 'tenant' AND size = '24h') AS w
INNER JOIN latest AS l ON l.tenant = w.tenant
ARRAY JOIN [intDiv(toUnixTimestamp(l.last_end) - toUnixTimestamp(w.window_end), 604800)] AS weeks
WHERE w.window_end IN (
    l.last_end, l.last_end - INTERVAL 7 DAY, l.last_end - INTERVAL 14 DAY, l.last_end - INTERVAL 21 DAY, l.last_end - INTERVAL 28 DAY
)
GROUP BY w.tenant
HAVING countIf(weeks > 0) >= 3 AND sumIf(w.items_completed, weeks = 0) = 0 AND usual_items >= {least_items:Int64} AND 1000 * of >= {least_share_per_mille:Int64} * usual_requests
