-- Bookings of the items that the last committed flush wrote, one row each.
SELECT
    kpart, tenant, work_item_id, toUnixTimestamp64Micro(b.at) AS at, b.kind AS kind, b.team AS team, b.tool AS tool, b.model AS model,
    b.work_class AS work_class, version, {outcome_columns}
FROM work_items FINAL ARRAY JOIN bookings AS b
WHERE kpart = {kpart:UInt16} AND version = {version:UInt64}
