-- Days of which a ledger line, its item or a pane is beyond the positions.
INSERT INTO {scratch}.moved_days
SELECT DISTINCT line.tenant, line.usage_day
FROM (SELECT kpart, tenant, work_item_id, usage_day, usage_next, items_next FROM work_item_usage FINAL) AS line
LEFT JOIN {scratch}.positions AS p ON p.kpart = line.kpart
LEFT JOIN (SELECT kpart, tenant, work_item_id, usage_next, items_next FROM work_items FINAL) AS item
    ON item.kpart = line.kpart AND item.tenant = line.tenant AND item.work_item_id = line.work_item_id
WHERE greatest(line.usage_next, item.usage_next) > p.usage_next OR greatest(line.items_next, item.items_next) > p.items_next
UNION DISTINCT
SELECT pane.tenant, toDate(pane.pane_start)
FROM (SELECT kpart, tenant, pane_start, usage_next, items_next FROM panes FINAL) AS pane
LEFT JOIN {scratch}.positions AS p ON p.kpart = pane.kpart
WHERE pane.usage_next > p.usage_next OR pane.items_next > p.items_next
