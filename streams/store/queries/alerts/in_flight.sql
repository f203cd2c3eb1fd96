-- Open core work of a team: its items with usage on the days of a stretch, and what that usage cost.
SELECT toInt64(count()) AS items, sum(cost) AS cost
FROM (
    SELECT kpart, work_item_id, sum(standard_cost_micro_usd) AS cost
    FROM work_item_usage FINAL
    WHERE tenant = {tenant:String} AND team = {team:String}
        AND toDateTime(usage_day, 'UTC') >= toDateTime({since_s:Int64}, 'UTC') AND toDateTime(usage_day, 'UTC') < toDateTime({until_s:Int64}, 'UTC')
    GROUP BY kpart, work_item_id
    HAVING cost > 0
) AS u
INNER JOIN (
    SELECT kpart, work_item_id FROM work_items FINAL
    WHERE tenant = {tenant:String} AND state = 'open' AND work_class = 'core' AND NOT container AND NOT evidence
) AS i ON i.kpart = u.kpart AND i.work_item_id = u.work_item_id
SETTINGS max_execution_time = 4
