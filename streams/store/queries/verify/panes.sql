-- Usage of each five minutes.
INSERT INTO {scratch}.panes
SELECT
    kpart, tenant, team, tool, model, pane_start,
    pane[17], pane[18], pane[19], pane[20], pane[21], pane[22],
    arrayDotProduct(pane, arraySlice({factors:Array(Int64)}, 1, 23))
FROM (
    SELECT
        kpart, tenant, team, tool, model, pane_start,
        [
            sum(u.requests),
            sumIf(u.requests, u.status != 'ok'),
            sumIf(u.requests, u.quality = 'partial'),
            sumIf(u.requests, u.quality = 'unknown'),
            sumIf(u.requests, u.unpriced),
            sumIf(u.requests, u.without_cost),
            sum(u.input_tokens),
            sum(u.cache_read_tokens),
            sum(u.cache_write_5m_tokens),
            sum(u.cache_write_1h_tokens),
            sum(u.output_tokens),
            sum(u.reasoning_tokens),
            sum(u.tokens),
            sum(u.cost),
            sum(u.billed),
            sum(u.reported_otherwise),
            sumIf(u.requests, u.work_item_id = '' AND NOT u.enables),
            sumIf(u.tokens, u.work_item_id = '' AND NOT u.enables),
            sumIf(u.cost, u.work_item_id = '' AND NOT u.enables),
            sumIf(u.requests, u.work_item_id = '' AND u.enables),
            sumIf(u.tokens, u.work_item_id = '' AND u.enables),
            sumIf(u.cost, u.work_item_id = '' AND u.enables),
            sumIf(u.requests, u.prompt_fingerprint != '')
            - toInt64(uniqExactIf((u.stream_key, u.actor, u.prompt_fingerprint), u.prompt_fingerprint != ''))
        ] AS pane
    FROM (
{usage}
    ) AS u
    GROUP BY kpart, tenant, team, tool, model, pane_start
)
