-- Panes of a partition with raw or stored usage in an hour.
SELECT tenant, team, tool, model, toUnixTimestamp64Micro(start) AS pane_start
FROM (
    SELECT tenant, team, tool, model, toDateTime64(toStartOfFiveMinutes(usage_events.occurred_at), 6, 'UTC') AS start FROM usage_events
    WHERE kpart = {kpart:UInt16} AND toStartOfHour(usage_events.occurred_at) = toDateTime({hour:Int64}, 'UTC')
    UNION ALL
    SELECT tenant, team, tool, model, panes.pane_start AS start FROM panes
    WHERE kpart = {kpart:UInt16} AND toStartOfHour(panes.pane_start) = toDateTime({hour:Int64}, 'UTC')
)
GROUP BY tenant, team, tool, model, start
