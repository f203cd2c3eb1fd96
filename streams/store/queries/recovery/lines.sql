-- Stored ledger lines of some items, with the same rule of trust.
SELECT
    * EXCEPT (usage_day, last_at, version, usage_next, items_next),
    toInt64(toUInt16(usage_day)) AS usage_day,
    toUnixTimestamp64Micro(last_at) AS last_at,
    toUInt8(version >= {since:UInt64} AND usage_next <= {usage_next:Int64} AND items_next <= {items_next:Int64}) AS trusted
FROM work_item_usage FINAL
WHERE kpart = {kpart:UInt16} AND tenant IN {tenants:Array(String)} AND work_item_id IN {items:Array(String)}
