-- Tenants of which three teams or more lose the work items of their usage within two days: what names them is broken for all. It stays so for as long
-- as they do, whenever that began; a team that lost its own at another time is not among them.
SELECT
    tenant, '' AS team,
    toInt64(length(together)) AS value, toInt64(0) AS baseline, toInt64(3) AS threshold,
    toInt64(arraySum(surge -> surge.3, together)) AS spend_micro_usd, value AS amount, value AS of, arraySort(arrayMap(surge -> surge.2, together)) AS names
FROM (
    SELECT
        tenant,
        arrayFilter(
            (surge, place) -> arrayExists(
                last -> last >= 3 AND last <= length(surges) AND surges[last].1 - surges[last - 2].1 <= 172800, [place, place + 1, place + 2]
            ),
            surges, arrayEnumerate(surges)
        ) AS together
    FROM (
        SELECT toString(tenant) AS tenant, arraySort(groupArray((toInt64(toUnixTimestamp(started_at)), toString(team), spend_micro_usd))) AS surges
        FROM alerts FINAL
        WHERE rule = 'unattributed_surge' AND state IN ('pending', 'firing') AND clear_since = toDateTime64(0, 6, 'UTC')
            AND started_at <= fromUnixTimestamp64Micro({now:Int64})
        GROUP BY tenant
    )
)
WHERE length(together) >= 3
