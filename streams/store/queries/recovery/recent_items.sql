-- Identities of accepted work-item events within the dedup horizon.
SELECT tenant, event_id, toUnixTimestamp64Micro(occurred_at) AS occurred_at
FROM work_item_events
WHERE kpart = {kpart:UInt16} AND koff < {items_next:Int64} AND work_item_events.occurred_at >= fromUnixTimestamp64Micro({since:Int64})
ORDER BY koff
