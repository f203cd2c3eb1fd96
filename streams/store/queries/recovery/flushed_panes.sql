-- Panes that the last committed flush wrote: published again, because the crash may have come before they were.
SELECT * EXCEPT (pane_start, usage_next, items_next), toUnixTimestamp64Micro(pane_start) AS pane_start
FROM panes FINAL
WHERE kpart = {kpart:UInt16} AND version = {version:UInt64}
