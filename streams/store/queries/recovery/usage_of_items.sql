-- Accepted usage of some work items below the position: ledger lines are recomputed from it.
SELECT * EXCEPT (occurred_at, appended_at, version), toUnixTimestamp64Micro(occurred_at) AS occurred_at
FROM usage_events FINAL
WHERE kpart = {kpart:UInt16} AND koff < {usage_ends:Array(Int64)}[incarnation + 1]
  AND tenant IN {tenants:Array(String)} AND work_item_id IN {items:Array(String)}
