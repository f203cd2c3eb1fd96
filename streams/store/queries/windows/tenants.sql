-- Tenants that have any result.
SELECT DISTINCT tenant FROM panes UNION DISTINCT SELECT DISTINCT tenant FROM work_items
