-- Accepted usage of some panes below the position: panes are recomputed from it.
SELECT * EXCEPT (occurred_at, appended_at, version), toUnixTimestamp64Micro(occurred_at) AS occurred_at
FROM usage_events FINAL
WHERE kpart = {kpart:UInt16} AND koff < {usage_next:Int64}
  AND toUnixTimestamp(toStartOfFiveMinutes(usage_events.occurred_at)) IN {pane_seconds:Array(UInt32)}
