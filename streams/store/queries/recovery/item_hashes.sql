-- Hashes of the names of all stored items of a partition: what a worker may have to load when it meets them again. While results are computed
-- again (`raw`) also of those that only raw events name.
SELECT xxHash64(concat(tenant, '/', work_item_id)) AS hash
FROM (
    SELECT tenant, work_item_id FROM work_items WHERE kpart = {kpart:UInt16}
    UNION ALL
    SELECT tenant, work_item_id FROM work_item_usage WHERE kpart = {kpart:UInt16}
    UNION ALL
    SELECT tenant, work_item_id FROM usage_events WHERE {raw:UInt8} AND kpart = {kpart:UInt16} AND work_item_id != ''
    UNION ALL
    SELECT tenant, work_item_id FROM work_item_events WHERE {raw:UInt8} AND kpart = {kpart:UInt16}
)
GROUP BY hash
