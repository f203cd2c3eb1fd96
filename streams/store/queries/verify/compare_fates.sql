-- The fates of a day by team, as the view's source gives them, against those of the recomputed lines, items and panes.
SELECT {outcome}
FROM (
    SELECT
        [tenant, team, toString(day), fate] AS key,
        sumIf(sums, is_stored) AS stored,
        sumIf(sums, NOT is_stored) AS expected,
        stored != 0 OR expected != 0 AS is_compared,
        stored != expected AS is_different,
        (tenant, day) IN (SELECT tenant, day FROM {scratch}.moved_days) AS is_moved
    FROM (
        SELECT
            line.tenant AS tenant,
            line.team AS team,
            line.usage_day AS day,
            multiIf(
                item.state = '', 'unknown_item',
                item.state = 'canceled', if(line.usage_day > item.canceled_on + 14, 'after_close', 'canceled'),
                item.state = 'completed' AND line.usage_day > item.completed_on + 14, 'after_close',
                item.state = 'completed', item.work_class,
                item.excluded, 'excluded',
                item.last_seen_at < (SELECT watermark FROM v_watermark) - INTERVAL 28 DAY, 'stalled',
                'in_flight') AS fate,
            arrayDotProduct([line.requests, line.tokens, line.cost], arraySlice({factors:Array(Int64)}, 1, 3)) AS sums,
            0 AS is_stored
        FROM (SELECT * FROM {scratch}.lines WHERE {line_scope}) AS line
        LEFT JOIN {scratch}.items AS item ON item.kpart = line.kpart AND item.tenant = line.tenant AND item.work_item_id = line.work_item_id

        UNION ALL

        SELECT
            tenant, team, toDate(pane_start), without_item.1,
            arrayDotProduct([without_item.2, without_item.3, without_item.4], arraySlice({factors:Array(Int64)}, 1, 3)), 0
        FROM (SELECT * FROM {scratch}.panes WHERE {pane_scope})
        ARRAY JOIN [
            ('unattributed', unattributed_requests, unattributed_tokens, unattributed_cost), ('enabling', enabling_requests, enabling_tokens, enabling_cost)
        ] AS without_item

        UNION ALL

        SELECT tenant, team, day, fate, arrayDotProduct([requests, tokens, standard_cost_micro_usd], arraySlice({factors:Array(Int64)}, 1, 3)), 1
        FROM spend_fates
        WHERE {day_scope}
    )
    GROUP BY tenant, team, day, fate
)
