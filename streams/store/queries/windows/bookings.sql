-- All stored bookings of the items that have one from a time on, for the window agent's state.
SELECT
    kpart, tenant, work_item_id, toUnixTimestamp64Micro(b.at) AS at, b.kind AS kind, b.team AS team, b.tool AS tool, b.model AS model,
    b.work_class AS work_class, version, {outcome_columns}
FROM work_items FINAL ARRAY JOIN bookings AS b
WHERE (kpart, tenant, work_item_id) IN (
    SELECT kpart, tenant, work_item_id FROM work_items
    WHERE tenant IN {tenants:Array(String)} AND arrayExists(at -> at >= fromUnixTimestamp64Micro({since:Int64}), bookings.at)
)
