-- work_items against the refolded items: every column that the events decide, and the bookings summed per pane, team, tool, model and class.
SELECT {outcome}
FROM (
    SELECT
        [toString(kpart), tenant, work_item_id] AS key,
        1 AS is_compared,
        countIf(is_stored) != countIf(NOT is_stored)
        OR sumIf(digest, is_stored) != sumIf(digest, NOT is_stored) AS is_different,
        max(is_ahead) AS is_moved
    FROM (
        -- One row an item, and one a place where it is booked with anything but zeros.
        SELECT kpart, tenant, work_item_id, digest, 0 AS is_stored, 0 AS is_ahead FROM {scratch}.items WHERE {scope}

        UNION ALL

        SELECT kpart, tenant, work_item_id, sipHash64(pane_start, team, tool, model, work_class, sums), 0, 0
        FROM {scratch}.bookings
        WHERE {scope} AND sums != 0

        UNION ALL

        SELECT kpart, tenant, work_item_id, {digest}, 1, s.usage_next > p.usage_next OR s.items_next > p.items_next
        FROM (SELECT * FROM work_items FINAL WHERE {scope} AND notEmpty(history)) AS s
        LEFT JOIN {scratch}.positions AS p ON p.kpart = s.kpart

        UNION ALL

        SELECT
            kpart, tenant, work_item_id,
            sipHash64(
                toStartOfFiveMinutes(toDateTime(b.at, 'UTC')) AS pane_start, b.team, b.tool, b.model, b.work_class,
                sum(arrayDotProduct(
                    [
                        b.items_completed, b.items_assisted, b.items_assisted_unknown, b.items_lightly_assisted, b.items_unassisted,
                        b.items_closed_without_work, b.items_reopened, b.items_canceled, b.value_credited_milli, b.value_debited_milli,
                        b.assisted_value_credited_milli, b.assisted_value_debited_milli, b.matched_tokens_credited, b.matched_tokens_debited,
                        b.matched_standard_cost_micro_usd_credited, b.matched_standard_cost_micro_usd_debited, b.abandoned_tokens_booked,
                        b.abandoned_tokens_reversed, b.abandoned_standard_cost_micro_usd_booked, b.abandoned_standard_cost_micro_usd_reversed
                    ],
                    arraySlice({factors:Array(Int64)}, 24, 20)
                )) AS sums
            ),
            1, 0
        FROM (SELECT * FROM work_items FINAL WHERE {scope}) AS s
        ARRAY JOIN bookings AS b
        GROUP BY kpart, tenant, work_item_id, pane_start, b.team, b.tool, b.model, b.work_class
        HAVING sums != 0
    )
    GROUP BY kpart, tenant, work_item_id
)
