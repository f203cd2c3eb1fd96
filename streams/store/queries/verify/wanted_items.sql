-- Items that have usage on a wanted day.
INSERT INTO {scratch}.wanted_items
SELECT DISTINCT tenant, work_item_id FROM usage_events
WHERE (tenant, toDate(occurred_at)) IN (SELECT tenant, day FROM {scratch}.wanted_days) AND work_item_id != ''
