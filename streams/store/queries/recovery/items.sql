-- Stored items of one partition: history, where they are booked, the flush that wrote them, and the same rule of trust.
SELECT
    tenant,
    work_item_id,
    arrayMap(h -> (toUnixTimestamp64Micro(h.occurred_at), h.event_id, h.kind, h.team, h.item_type, h.labels, h.size_milli, h.parent_id, h.link_type, h.link_value), history) AS history,
    arrayDistinct(arrayMap(b -> (toUnixTimestamp64Micro(b.at), b.team, b.tool, b.model, b.work_class), arrayFilter(b -> b.kind != 'moved', bookings))) AS booked,
    version,
    toUInt8(usage_next <= {usage_next:Int64} AND items_next <= {items_next:Int64}) AS trusted
FROM work_items FINAL
WHERE kpart = {kpart:UInt16}
