-- Accepted work-item events that share an identity with events that came later than the dedup horizon.
SELECT tenant, event_id, toUnixTimestamp64Micro(occurred_at) AS occurred_at
FROM work_item_events
WHERE kpart = {kpart:UInt16} AND koff < {ends:Array(Int64)}[incarnation + 1] AND event_id IN {ids:Array(String)}
