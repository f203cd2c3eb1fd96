-- Each item as it stands: of the credit in force, else of the class that it would have. `digest` covers every column of work_items that the
-- events decide, but for the bookings.
INSERT INTO {scratch}.items
SELECT
    kpart, tenant, work_item_id, state, work_class, container OR evidence, toDate(canceled_at), toDate(completed_at), greatest(last_event_at, last_usage_at),
    {digest}
FROM (
    SELECT
        h.kpart AS kpart,
        h.tenant AS tenant,
        h.work_item_id AS work_item_id,
        h.after[-1] AS state,
        state = 'completed' AS is_completed,
        h.team_at[-1] AS team,
        h.item_type_at[-1] AS item_type,
        h.labels_at[-1] AS labels,
        h.size_milli AS size_milli,
        h.parent_at[-1] AS parent_id,
        h.evidence_at[-1] AS evidence,
        if(is_completed, c.container, m.container) AS container,
        multiIf(is_completed, c.rule, m.container, m.rule, evidence, m.evidence_rule, m.rule) AS rule,
        multiIf(is_completed, c.work_class, m.container OR evidence, 'excluded', m.work_class) AS work_class,
        c.assistance AS assistance,
        if(is_completed, c.value_milli, 0) AS value_milli,
        is_completed AND c.is_assisted_value AS value_assisted,
        h.history[1].occurred_at AS first_event_at,
        h.history[-1].occurred_at AS last_event_at,
        arrayFirst(e -> e.kind = 'started', h.history).occurred_at AS started_at,
        if(h.first_completion = 0, toDateTime64(0, 6, 'UTC'), h.history[h.first_completion].occurred_at) AS first_completed_at,
        if(is_completed, h.history[h.completion_at[-1]].occurred_at, toDateTime64(0, 6, 'UTC')) AS completed_at,
        arrayLastIndex((b, a) -> b != 'canceled' AND a = 'canceled', h.before, h.after) AS canceled_n,
        if(state = 'canceled', h.history[canceled_n].occurred_at, toDateTime64(0, 6, 'UTC')) AS canceled_at,
        u.last_usage_at AS last_usage_at,
        h.history AS history
    FROM {scratch}.histories AS h
    INNER JOIN {scratch}.matches AS m ON m.since = h.rules_at[-1] AND m.item_type = h.item_type_at[-1] AND m.labels = h.labels_at[-1]
    LEFT JOIN (
        SELECT * FROM {scratch}.credits ORDER BY n DESC LIMIT 1 BY kpart, tenant, work_item_id
    ) AS c ON c.kpart = h.kpart AND c.tenant = h.tenant AND c.work_item_id = h.work_item_id
    LEFT JOIN (
        SELECT kpart, tenant, work_item_id, max(last_at) AS last_usage_at FROM {scratch}.lines WHERE {scope} GROUP BY kpart, tenant, work_item_id
    ) AS u ON u.kpart = h.kpart AND u.tenant = h.tenant AND u.work_item_id = h.work_item_id
)
