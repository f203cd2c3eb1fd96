-- Items of a partition with raw or stored rows in a stretch of event time, by name, after one name.
SELECT tenant, work_item_id
FROM (
    SELECT tenant, work_item_id FROM usage_events
    WHERE kpart = {kpart:UInt16} AND work_item_id != ''
      AND usage_events.occurred_at >= fromUnixTimestamp64Micro({from_us:Int64}) AND usage_events.occurred_at < fromUnixTimestamp64Micro({to_us:Int64})
    UNION ALL
    SELECT tenant, work_item_id FROM work_item_events
    WHERE kpart = {kpart:UInt16}
      AND work_item_events.occurred_at >= fromUnixTimestamp64Micro({from_us:Int64}) AND work_item_events.occurred_at < fromUnixTimestamp64Micro({to_us:Int64})
    UNION ALL
    SELECT tenant, work_item_id FROM work_item_usage
    WHERE kpart = {kpart:UInt16} AND work_item_usage.last_at >= fromUnixTimestamp64Micro({from_us:Int64})
      AND toInt64(toUInt16(usage_day)) * 86400000000 < {to_us:Int64}
    UNION ALL
    SELECT tenant, work_item_id FROM work_items
    WHERE kpart = {kpart:UInt16} AND work_items.last_event_at >= fromUnixTimestamp64Micro({from_us:Int64})
      AND work_items.first_event_at < fromUnixTimestamp64Micro({to_us:Int64})
)
WHERE (tenant, work_item_id) > ({tenant:String}, {work_item_id:String})
GROUP BY tenant, work_item_id
ORDER BY tenant, work_item_id
LIMIT {most:UInt32}
