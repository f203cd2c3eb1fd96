-- The ledger of a work item: its usage by day, team, tool and model.
SELECT toString(usage_day) AS usage_day, team, tool, model, requests, known_requests, tokens, standard_cost_micro_usd, cost_micro_usd
FROM work_item_usage FINAL
WHERE tenant = {tenant:String} AND work_item_id = {item:String}
ORDER BY usage_day, team, tool, model
