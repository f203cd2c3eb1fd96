-- Identities of accepted work-item events from an event time on.
SELECT tenant, event_id, toUnixTimestamp64Micro(occurred_at) AS occurred_at
FROM work_item_events
WHERE kpart = {kpart:UInt16} AND koff < {items_ends:Array(Int64)}[incarnation + 1]
  AND work_item_events.occurred_at >= fromUnixTimestamp64Micro({since:Int64})
