-- Bookings in some buckets of a slide, by series: for windows that begin before the panes in memory.
SELECT
    tenant, b.team AS team, b.tool AS tool, b.model AS model, b.work_class AS work_class,
    intDiv(toUnixTimestamp64Micro(b.at), {slide_us:Int64}) AS bucket, {outcome_sums}
FROM work_items FINAL ARRAY JOIN bookings AS b
WHERE bucket IN {buckets:Array(Int64)} AND (kpart, tenant, work_item_id) IN (
    SELECT kpart, tenant, work_item_id FROM work_items
    WHERE tenant IN {tenants:Array(String)}
        AND arrayExists(at -> at >= fromUnixTimestamp64Micro({since:Int64}) AND at < fromUnixTimestamp64Micro({until:Int64}), bookings.at)
)
GROUP BY tenant, team, tool, model, work_class, bucket
