-- Stored panes of one partition, with the same rule of trust.
SELECT
    * EXCEPT (pane_start, version, usage_next, items_next),
    toUnixTimestamp64Micro(pane_start) AS pane_start,
    toUInt8(usage_next <= {usage_next:Int64} AND items_next <= {items_next:Int64}) AS trusted
FROM panes FINAL
WHERE kpart = {kpart:UInt16}
