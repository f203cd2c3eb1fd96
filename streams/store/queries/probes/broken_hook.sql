-- Tenants of which several teams lose the work items of their usage at about the same time: what names them is broken for all. It stays so for as long
-- as they do, whenever that began; a team that lost its own at another time is not among them.
SELECT
    tenant, '' AS team,
    toInt64(length(together)) AS value, toInt64(0) AS baseline, {least_teams:Int64} AS threshold,
    toInt64(arraySum(surge -> surge.3, together)) AS spend_micro_usd, value AS amount, value AS of, arraySort(arrayMap(surge -> surge.2, together)) AS names
FROM (
    SELECT
        tenant,
        arrayFilter(
            (surge, place) -> arrayExists(
                last -> last >= {least_teams:Int64} AND last <= length(surges) AND surges[last].1 - surges[last - {least_teams:Int64} + 1].1 <= intDiv({within_us:Int64}, 1000000),
                range(place, place + toUInt64({least_teams:Int64}))
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
WHERE length(together) >= {least_teams:Int64}
