-- A completed core item with much assistance: one that is worth explaining.
SELECT work_item_id
FROM v_work_items
WHERE tenant = {tenant:String} AND state = 'completed' AND work_class = 'core' AND is_assisted_value
ORDER BY team = 'payments' DESC, standard_cost_micro_usd DESC, work_item_id
LIMIT 1
