-- Accepted usage of some panes below the position: panes are recomputed from it.
SELECT * EXCEPT (occurred_at, appended_at, version), toUnixTimestamp64Micro(occurred_at) AS occurred_at
FROM usage_events FINAL
WHERE kpart = {kpart:UInt16} AND koff < {usage_ends:Array(Int64)}[incarnation + 1]
  AND usage_events.occurred_at >= fromUnixTimestamp64Micro({since:Int64}) AND usage_events.occurred_at < fromUnixTimestamp64Micro({until:Int64})
  AND toUnixTimestamp(toStartOfFiveMinutes(usage_events.occurred_at)) IN {pane_seconds:Array(UInt32)}
