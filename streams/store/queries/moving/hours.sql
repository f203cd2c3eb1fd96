-- Hours (seconds since 1970) with raw events, and how many rows of both kinds each has.
SELECT toInt64(toUnixTimestamp(hour)) AS hour, count() AS rows
FROM (
    SELECT toStartOfHour(occurred_at) AS hour FROM usage_events
    UNION ALL
    SELECT toStartOfHour(occurred_at) AS hour FROM work_item_events
)
GROUP BY hour
ORDER BY hour
