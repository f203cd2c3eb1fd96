-- Raw events of an hour, oldest first, each with its place.
SELECT * EXCEPT (occurred_at, appended_at, version), toUnixTimestamp64Micro(occurred_at) AS occurred_at
FROM work_item_events FINAL
WHERE work_item_events.occurred_at >= toDateTime64({hour:Int64}, 6, 'UTC') AND work_item_events.occurred_at < toDateTime64({hour:Int64} + 3600, 6, 'UTC')
ORDER BY occurred_at, event_id
