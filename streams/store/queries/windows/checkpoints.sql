-- How far the windows of partitions of pane-updates have come.
SELECT upart, version, next_offset, toUnixTimestamp64Micro(watermark) AS watermark,
    arrayMap(p -> (p.kpart, p.usage_next, p.items_next, toUnixTimestamp64Micro(p.usage_watermark), toUnixTimestamp64Micro(p.items_watermark)), positions) AS positions
FROM window_checkpoints FINAL WHERE upart IN {uparts:Array(UInt16)}
