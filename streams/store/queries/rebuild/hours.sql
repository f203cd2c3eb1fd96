-- Hours (seconds since 1970) of a stretch of event time with raw or stored usage of a partition, after one hour.
SELECT toInt64(toUnixTimestamp(hour)) AS hour
FROM (
    SELECT toStartOfHour(usage_events.occurred_at) AS hour FROM usage_events
    WHERE kpart = {kpart:UInt16}
      AND usage_events.occurred_at >= fromUnixTimestamp64Micro({from_us:Int64}) AND usage_events.occurred_at < fromUnixTimestamp64Micro({to_us:Int64})
    UNION ALL
    SELECT toStartOfHour(panes.pane_start) AS hour FROM panes
    WHERE kpart = {kpart:UInt16}
      AND panes.pane_start >= fromUnixTimestamp64Micro({from_us:Int64}) AND panes.pane_start < fromUnixTimestamp64Micro({to_us:Int64})
)
WHERE toInt64(toUnixTimestamp(hour)) > {after:Int64}
GROUP BY hour
ORDER BY hour
LIMIT {most:UInt32}
