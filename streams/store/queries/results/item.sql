-- A work item as it stands.
SELECT * FROM v_work_items WHERE tenant = {tenant:String} AND work_item_id = {item:String}
