-- Stored items by their names: history, where they are booked, and whether they are to be trusted: written in this incarnation, covering no
-- offset beyond the position, and not before a rebuild that is under way. Where it is booked includes what it has left (kind moved): the flush
-- that said so may never have been announced.
SELECT
    tenant,
    work_item_id,
    arrayMap(h -> (toUnixTimestamp64Micro(h.occurred_at), h.event_id, h.kind, h.team, h.item_type, h.labels, h.size_milli, h.parent_id, h.link_type, h.link_value), history) AS history,
    arrayDistinct(arrayMap(b -> (toUnixTimestamp64Micro(b.at), b.team, b.tool, b.model, b.work_class), bookings)) AS booked,
    toUInt8(version >= {since:UInt64} AND usage_next <= {usage_next:Int64} AND items_next <= {items_next:Int64}) AS trusted
FROM work_items FINAL
WHERE kpart = {kpart:UInt16} AND tenant IN {tenants:Array(String)} AND work_item_id IN {items:Array(String)}
