-- Low-value work of a team that was completed in a stretch, by item type: items, and the usage that was matched to them.
SELECT
    toString(item_type) AS item_type,
    toInt64(uniqExact(work_item_id)) AS items,
    sum(b.matched_standard_cost_micro_usd_credited - b.matched_standard_cost_micro_usd_debited) AS cost
FROM work_items FINAL
ARRAY JOIN bookings AS b
WHERE tenant = {tenant:String} AND last_event_at >= fromUnixTimestamp64Micro({since:Int64})
    AND b.team = {team:String} AND b.work_class = 'low_value'
    AND b.at >= fromUnixTimestamp64Micro({since:Int64}) AND b.at < fromUnixTimestamp64Micro({until:Int64})
GROUP BY item_type
HAVING cost > 0
ORDER BY cost DESC
LIMIT 100
SETTINGS max_execution_time = 4
