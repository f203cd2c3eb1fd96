-- Unit cost of models on items that one of them carried.
SELECT item_type, size, tool, model, items, items_share, value, standard_cost_micro_usd, unit_cost_micro_usd, null_reason
FROM v_model_comparison
WHERE tenant = {tenant:String}
ORDER BY item_type, size, unit_cost_micro_usd IS NULL, unit_cost_micro_usd, items DESC, tool, model
