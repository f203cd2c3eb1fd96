-- Stored ledger lines of one partition; a row is trusted only if the offsets that it covers are at or below the position.
SELECT
    * EXCEPT (usage_day, last_at, version, usage_next, items_next),
    toInt64(toUInt16(usage_day)) AS usage_day,
    toUnixTimestamp64Micro(last_at) AS last_at,
    toUInt8(usage_next <= {usage_next:Int64} AND items_next <= {items_next:Int64}) AS trusted
FROM work_item_usage FINAL
WHERE kpart = {kpart:UInt16}
