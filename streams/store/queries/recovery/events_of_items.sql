-- Accepted events of some work items below the position: outcomes are folded again from it.
SELECT
    tenant, work_item_id, toUnixTimestamp64Micro(occurred_at) AS occurred_at, event_id, kind, team, item_type, labels, size_milli,
    parent_id, link_type, link_value
FROM work_item_events FINAL
WHERE kpart = {kpart:UInt16} AND koff < {items_ends:Array(Int64)}[incarnation + 1]
  AND tenant IN {tenants:Array(String)} AND work_item_id IN {items:Array(String)}
