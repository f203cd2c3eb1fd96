-- The last position that a flush mirrored, whether or not the group committed it, and what had become of the records up to it.
SELECT
    * EXCEPT (usage_watermark, items_watermark),
    toUnixTimestamp64Micro(usage_watermark) AS usage_watermark,
    toUnixTimestamp64Micro(items_watermark) AS items_watermark
FROM checkpoints FINAL
WHERE kpart IN {kparts:Array(UInt16)}
