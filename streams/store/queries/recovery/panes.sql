-- Stored panes, with the same rule of trust.
SELECT
    * EXCEPT (pane_start, version, usage_next, items_next),
    toUnixTimestamp64Micro(pane_start) AS pane_start,
    toUInt8(version >= {since:UInt64} AND usage_next <= {usage_next:Int64} AND items_next <= {items_next:Int64}) AS trusted
FROM panes FINAL
WHERE kpart = {kpart:UInt16} AND tenant IN {tenants:Array(String)} AND team IN {teams:Array(String)}
  AND toUnixTimestamp(panes.pane_start) IN {pane_seconds:Array(UInt32)}
