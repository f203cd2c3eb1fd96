-- Accepted usage below the positions with its standard cost. Of usage of unknown quality everything but the requests is 0.
SELECT
    e.kpart AS kpart,
    e.tenant AS tenant,
    e.team AS team,
    e.tool AS tool,
    e.model AS model,
    e.actor AS actor,
    e.work_item_id AS work_item_id,
    e.occurred_at AS occurred_at,
    e.pane_start AS pane_start,
    e.prompt_fingerprint AS prompt_fingerprint,
    concat(e.tenant, '/', multiIf(e.work_item_id != '', e.work_item_id, e.session_id != '', 'session:' || e.session_id, 'event:' || e.event_id)) AS stream_key,
    e.requests AS requests,
    e.usage_quality AS quality,
    e.status AS status,
    e.activity IN ('review', 'operate', 'explore') AS enables,
    NOT price.priced AS unpriced,
    isNull(e.cost_micro_usd) AS without_cost,
    quality != 'unknown' AS known,
    known * e.input_tokens AS input_tokens,
    known * e.cache_read_tokens AS cache_read_tokens,
    known * e.cache_write_5m_tokens AS cache_write_5m_tokens,
    known * e.cache_write_1h_tokens AS cache_write_1h_tokens,
    known * e.output_tokens AS output_tokens,
    known * e.reasoning_tokens AS reasoning_tokens,
    input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens AS tokens,
    toInt64(intDiv(
        2 * (
            toInt128(input_tokens) * price.input_price
            + toInt128(cache_read_tokens) * price.cache_read_price
            + toInt128(cache_write_5m_tokens) * price.cache_write_5m_price
            + toInt128(cache_write_1h_tokens) * price.cache_write_1h_price
            + toInt128(output_tokens) * price.output_price
        ) + 1000000,
        2000000
    )) AS cost,
    if(e.cost_basis = 'billed', known * ifNull(e.cost_micro_usd, 0), 0) AS billed,
    if(e.cost_basis = 'billed', 0, known * ifNull(e.cost_micro_usd, 0)) AS reported_otherwise
FROM (
    SELECT raw.*, if(raw.model != '*' AND raw.model IN (SELECT model FROM {scratch}.prices), raw.model, '') AS book_name
    FROM (
        SELECT *, toStartOfFiveMinutes(toDateTime(occurred_at, 'UTC')) AS pane_start FROM usage_events FINAL WHERE {scope}
    ) AS raw
    INNER JOIN {scratch}.ends AS p ON p.kpart = raw.kpart AND p.incarnation = raw.incarnation
    WHERE raw.koff < p.usage_end
      AND (raw.kpart, raw.incarnation, raw.koff) NOT IN (SELECT kpart, incarnation, koff FROM {scratch}.repeats WHERE topic = 'usage-events')
) AS e
ASOF LEFT JOIN {scratch}.prices AS price ON price.model = e.book_name AND price.since <= e.occurred_at
