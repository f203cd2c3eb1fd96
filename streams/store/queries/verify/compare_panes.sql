-- panes against the recomputed usage of five minutes.
SELECT {outcome}
FROM (
    SELECT
        [toString(kpart), tenant, team, tool, model, toString(pane_start)] AS key,
        sumIf(sums, is_stored) AS stored,
        sumIf(sums, NOT is_stored) AS expected,
        stored != 0 OR expected != 0 AS is_compared,
        stored != expected AS is_different,
        max(is_ahead) AS is_moved
    FROM (
        SELECT kpart, tenant, team, tool, model, pane_start, sums, 0 AS is_stored, 0 AS is_ahead
        FROM {scratch}.panes
        WHERE {scope}

        UNION ALL

        SELECT
            kpart, tenant, team, tool, model, toDateTime(pane_start, 'UTC'),
            arrayDotProduct(
                [
                    requests, failed_requests, partial_requests, unknown_requests, unpriced_requests, requests_without_cost, input_tokens,
                    cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, tokens,
                    standard_cost_micro_usd, cost_micro_usd, other_cost_micro_usd, unattributed_requests, unattributed_tokens,
                    unattributed_standard_cost_micro_usd, enabling_requests, enabling_tokens, enabling_standard_cost_micro_usd, repeated_prompts
                ],
                arraySlice({factors:Array(Int64)}, 1, 23)
            ),
            1, s.usage_next > p.usage_next OR s.items_next > p.items_next
        FROM (SELECT * FROM panes FINAL WHERE {scope}) AS s
        LEFT JOIN {scratch}.positions AS p ON p.kpart = s.kpart
    )
    GROUP BY kpart, tenant, team, tool, model, pane_start
)
