-- work_item_usage against the recomputed lines.
SELECT {outcome}
FROM (
    SELECT
        [toString(kpart), tenant, work_item_id, toString(usage_day), team, tool, model] AS key,
        sumIf(sums, is_stored) AS stored,
        sumIf(sums, NOT is_stored) AS expected,
        stored != 0 OR expected != 0 AS is_compared,
        stored != expected OR (expected != 0 AND maxIf(last_at, is_stored) != maxIf(last_at, NOT is_stored)) AS is_different,
        max(is_ahead) AS is_moved
    FROM (
        SELECT kpart, tenant, work_item_id, usage_day, team, tool, model, sums, last_at, 0 AS is_stored, 0 AS is_ahead
        FROM {scratch}.lines
        WHERE {scope}

        UNION ALL

        SELECT
            kpart, tenant, work_item_id, usage_day, team, tool, model,
            arrayDotProduct(
                [
                    requests, known_requests, incomplete_events, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
                    output_tokens, reasoning_tokens, tokens, standard_cost_micro_usd, cost_micro_usd, other_cost_micro_usd
                ],
                {line_factors:Array(Int64)}
            ),
            last_at, 1, s.usage_next > p.usage_next OR s.items_next > p.items_next
        FROM (SELECT * FROM work_item_usage FINAL WHERE {scope}) AS s
        LEFT JOIN {scratch}.positions AS p ON p.kpart = s.kpart
    )
    GROUP BY kpart, tenant, work_item_id, usage_day, team, tool, model
)
