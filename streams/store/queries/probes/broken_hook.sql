-- Tenants of which three teams or more lose the work items of their usage at the same time: what names them is broken for all.
SELECT
    toString(tenant) AS tenant, '' AS team,
    toInt64(count()) AS value, toInt64(0) AS baseline, toInt64(3) AS threshold, sum(spend_micro_usd) AS spend_micro_usd,
    toInt64(count()) AS amount, toInt64(count()) AS of, arraySort(groupArray(toString(a.team))) AS names
FROM alerts AS a FINAL
WHERE rule = 'unattributed_surge' AND state IN ('pending', 'firing') AND clear_since = toDateTime64(0, 6, 'UTC')
    AND started_at > fromUnixTimestamp64Micro({now:Int64}) - INTERVAL 2 DAY
GROUP BY tenant
HAVING amount >= 3
