-- Every stored booking, for the window agent's state.
SELECT
    kpart, tenant, work_item_id, toUnixTimestamp64Micro(b.at) AS at, b.kind AS kind, b.team AS team, b.tool AS tool, b.model AS model,
    b.work_class AS work_class, version, {outcome_columns}
FROM work_items FINAL ARRAY JOIN bookings AS b
WHERE tenant IN {tenants:Array(String)}
