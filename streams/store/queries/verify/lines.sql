-- Usage of each item by day, team, tool and model.
INSERT INTO {scratch}.lines
SELECT
    kpart, tenant, work_item_id, usage_day, team, tool, model,
    line.1 AS requests, line.2 AS known_requests, line.3 AS incomplete_events, line.10 AS tokens, line.11 AS cost, last_at,
    arrayDotProduct(
        [line.1, line.2, line.3, line.4, line.5, line.6, line.7, line.8, line.9, line.10, line.11, line.12, line.13], {line_factors:Array(Int64)}
    )
FROM (
    SELECT
        kpart, tenant, work_item_id, toDate(occurred_at) AS usage_day, team, tool, model,
        (
            sum(u.requests),
            sumIf(u.requests, u.known),
            toInt64(countIf(u.quality != 'full')),
            sum(u.input_tokens),
            sum(u.cache_read_tokens),
            sum(u.cache_write_5m_tokens),
            sum(u.cache_write_1h_tokens),
            sum(u.output_tokens),
            sum(u.reasoning_tokens),
            sum(u.tokens),
            sum(u.cost),
            sum(u.billed),
            sum(u.reported_otherwise)
        ) AS line,
        max(occurred_at) AS last_at
    FROM (
{usage}
    ) AS u
    WHERE work_item_id != ''
    GROUP BY kpart, tenant, work_item_id, usage_day, team, tool, model
)
