-- The events of a work item, in the order in which they are folded.
SELECT
    event.occurred_at AS occurred_at, event.kind AS kind, event.team AS team, event.item_type AS item_type, event.labels AS labels,
    event.size_milli AS size_milli, event.link_type AS link_type, event.link_value AS link_value, event.event_id AS event_id
FROM work_items FINAL
ARRAY JOIN history AS event
WHERE tenant = {tenant:String} AND work_item_id = {item:String}
