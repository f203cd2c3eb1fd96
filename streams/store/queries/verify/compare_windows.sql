-- Final windows of one family against sums of the recomputed panes. A slot that begins at s lies in the windows that end after s, up to s + size;
-- so it adds its sums at the first of these ends and takes them back after the last, and a running total over the ends gives every window.
-- An actor counts once in a window: a slot counts him only at the ends that his slot before did not reach.
SELECT {outcome}
FROM (
    WITH
        changes AS (
            SELECT id, change.1 AS at, sum(sums * change.2) AS sums_change, 0 AS people_change
            FROM {scratch}.slots
            ARRAY JOIN [(slot + {slide_s:UInt32}, 1), (slot + {size_s:UInt32} + {slide_s:UInt32}, -1)] AS change
            WHERE size = {size:String} AND modulo(crowd, {buckets:UInt64}) = {bucket:UInt64}
            GROUP BY id, at

            UNION ALL

            SELECT g.id, p.at, 0, p.people
            FROM (
                SELECT crowd, change.1 AS at, sum(change.2) AS people
                FROM (
                    SELECT
                        crowd, slot,
                        lagInFrame(slot, 1, 0) OVER (PARTITION BY crowd, actor_hash ORDER BY slot ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS slot_before
                    FROM {scratch}.presence
                    WHERE size = {size:String} AND modulo(crowd, {buckets:UInt64}) = {bucket:UInt64}
                )
                ARRAY JOIN [
                    (greatest(slot, slot_before + {size_s:UInt32}) + {slide_s:UInt32}, 1), (slot + {size_s:UInt32} + {slide_s:UInt32}, -1)
                ] AS change
                GROUP BY crowd, at
            ) AS p
            INNER JOIN {scratch}.groups AS g ON g.crowd = p.crowd
        ),
        totals AS (
            SELECT
                id, at,
                sum(sums_change) OVER running AS sums,
                sum(people_change) OVER running AS people,
                leadInFrame(at) OVER (PARTITION BY id ORDER BY at ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS next_at
            FROM (SELECT id, at, sum(sums_change) AS sums_change, sum(people_change) AS people_change FROM changes GROUP BY id, at)
            WINDOW running AS (PARTITION BY id ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
        ),
        compared AS (
            SELECT
                id, window_end,
                countIf(is_stored) != countIf(NOT is_stored) OR sumIf(digest, is_stored) != sumIf(digest, NOT is_stored) AS is_different
            FROM (
                SELECT
                    id, arrayJoin(range(at, least(next_at, {final_until:UInt32} + 1), {slide_s:UInt32})) AS window_end,
                    sums + people * {people_factor:Int64} AS digest, 0 AS is_stored
                FROM totals
                WHERE sums != 0

                UNION ALL

                SELECT id, window_end_s, sums + contributors * {people_factor:Int64}, 1
                FROM (
                    SELECT
                        sipHash64(tenant, grouping, team, tool, model, work_class) AS id,
                        toUnixTimestamp(window_end) AS window_end_s,
                        contributors,
                        arrayDotProduct(
                            [
                                requests, failed_requests, partial_requests, unknown_requests, unpriced_requests, requests_without_cost,
                                input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
                                tokens, standard_cost_micro_usd, cost_micro_usd, other_cost_micro_usd, unattributed_requests, unattributed_tokens,
                                unattributed_standard_cost_micro_usd, enabling_requests, enabling_tokens, enabling_standard_cost_micro_usd,
                                repeated_prompts, items_completed, items_assisted, items_assisted_unknown, items_lightly_assisted,
                                items_unassisted, items_closed_without_work, items_reopened, items_canceled, value_credited_milli,
                                value_debited_milli, assisted_value_credited_milli, assisted_value_debited_milli, matched_tokens_credited,
                                matched_tokens_debited, matched_standard_cost_micro_usd_credited, matched_standard_cost_micro_usd_debited,
                                abandoned_tokens_booked, abandoned_tokens_reversed, abandoned_standard_cost_micro_usd_booked,
                                abandoned_standard_cost_micro_usd_reversed
                            ],
                            {factors:Array(Int64)}
                        ) AS sums
                    FROM value_windows FINAL
                    WHERE size = {size:String} AND status = 'final' AND window_end <= toDateTime({final_until:UInt32}, 'UTC') AND {scope}
                )
                WHERE sums != 0 AND id IN (SELECT id FROM {scratch}.groups WHERE modulo(crowd, {buckets:UInt64}) = {bucket:UInt64})
            )
            GROUP BY id, window_end
        )
    SELECT
        1 AS is_compared,
        is_different,
        0 AS is_moved,
        if(
            is_different,
            [g.group.1, g.group.2, g.group.3, g.group.4, g.group.5, g.group.6, {size:String}, toString(toDateTime(window_end, 'UTC'))],
            []
        ) AS key
    FROM compared
    LEFT JOIN {scratch}.groups AS g ON g.id = compared.id
)
