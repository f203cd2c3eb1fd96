-- The value of each completion as it is judged when it happens, when the item is reclassified, and when a link makes it evidence after all;
-- until when that judgement holds; and how it is allocated over the (tool, model) of the usage up to 14 days after the completion.
INSERT INTO {scratch}.credits
WITH
    judged AS (
        SELECT
            kpart, tenant, work_item_id, n, history, before, after, evidence_link[n] AS is_link, evidence_at[n] AS is_evidence,
            worked_at[completion_at[n]] AS is_worked, history[n].occurred_at AS at, history[completion_at[n]].occurred_at AS completed_at,
            rules_at[completion_at[n]] AS since, item_type_at[n] AS item_type, labels_at[n] AS labels, team_at[n] AS team, size_milli
        FROM {scratch}.histories
        ARRAY JOIN arrayEnumerate(history) AS n
        WHERE (after[n] = 'completed' AND before[n] != 'completed')
           OR (before[n] = 'completed' AND (history[n].kind = 'reclassified' OR evidence_link[n]))
    ),
    -- One row a judgement and (tool, model): usage by the end of the day of completion, and 14 days later.
    used AS (
        SELECT
            kpart, tenant, work_item_id, n, tool, model,
            countIf(is_matched) AS matched_lines,
            sumIf(line_cost, is_matched) AS cost,
            sumIf(line_requests, is_matched) AS requests,
            sumIf(line_tokens, is_matched) AS tokens,
            sumIf(incomplete_events, is_matched) AS incomplete,
            sumIf(line_requests, is_before) AS requests_before,
            sumIf(known_requests, is_before) AS known_before,
            sumIf(line_cost, is_before) AS cost_before
        FROM (
            SELECT
                kpart, tenant, work_item_id, judged.n AS n, line.tool AS tool, line.model AS model, line.requests AS line_requests,
                line.known_requests AS known_requests, line.incomplete_events AS incomplete_events, line.tokens AS line_tokens, line.cost AS line_cost,
                line.usage_day <= toDate(judged.completed_at) AS is_before,
                line.usage_day <= toDate(judged.completed_at) + 14 AS is_matched
            FROM judged
            INNER JOIN (SELECT * FROM {scratch}.lines WHERE {scope}) AS line USING (kpart, tenant, work_item_id)
        )
        GROUP BY kpart, tenant, work_item_id, n, tool, model
    ),
    summed AS (
        SELECT
            kpart, tenant, work_item_id, n,
            arraySort(groupArrayIf((tool, model, cost, requests, tokens), matched_lines > 0)) AS lines,
            sum(used.incomplete) AS incomplete_events,
            sum(used.requests_before) AS requests_by_then,
            sum(used.known_before) AS known_by_then,
            sum(used.cost_before) AS cost_by_then
        FROM used
        GROUP BY kpart, tenant, work_item_id, n
    ),
    valued AS (
        SELECT
            judged.kpart AS kpart, judged.tenant AS tenant, judged.work_item_id AS work_item_id, judged.n AS n, judged.history AS history,
            judged.before AS before, judged.after AS after, judged.is_link AS is_link, judged.is_evidence AS is_evidence, judged.at AS at,
            judged.team AS team, m.container AS container, m.sized AS sized, m.work_class AS class_by_rule,
            summed.lines AS lines, summed.incomplete_events AS incomplete,
            multiIf(
                summed.requests_by_then > 0 AND summed.known_by_then = 0, 'assisted_unknown',
                summed.requests_by_then >= 3 AND summed.cost_by_then >= {assisted_cost:Int64}, 'assisted',
                summed.requests_by_then > 0, 'lightly_assisted',
                judged.is_worked, 'unassisted',
                'closed_without_work') AS assistance,
            m.container OR judged.is_evidence OR assistance = 'closed_without_work' AS is_excluded,
            multiIf(m.container, m.rule, judged.is_evidence, m.evidence_rule, assistance = 'closed_without_work', m.closed_rule, m.rule) AS rule,
            if(mapContains(m.references, judged.team), m.references[judged.team], m.references['']) AS reference,
            -- The size factor as a fraction, between 1/3 and 8/3.
            multiIf(
                NOT m.sized OR judged.size_milli = 0, (1, 1),
                3 * judged.size_milli < reference, (1, 3),
                3 * judged.size_milli > 8 * reference, (8, 3),
                (judged.size_milli, reference)) AS factor,
            if(is_excluded, 0, intDiv(2 * m.base_milli * factor.1 + factor.2, 2 * factor.2)) AS value
        FROM judged
        INNER JOIN {scratch}.matches AS m ON m.since = judged.since AND m.item_type = judged.item_type AND m.labels = judged.labels
        LEFT JOIN summed
            ON summed.kpart = judged.kpart AND summed.tenant = judged.tenant AND summed.work_item_id = judged.work_item_id AND summed.n = judged.n
    ),
    -- A link changes nothing for a credit that is 0 already.
    standing AS (
        SELECT *, lagInFrame(value) OVER (PARTITION BY kpart, tenant, work_item_id ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS value_before
        FROM valued
        QUALIFY NOT is_link OR value_before != 0
    ),
    ended AS (
        SELECT
            *,
            leadInFrame(n) OVER (PARTITION BY kpart, tenant, work_item_id ORDER BY n ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS next_n,
            arrayFirstIndex((b, a, i) -> i > n AND b = 'completed' AND a != 'completed', before, after, arrayEnumerate(history)) AS left_n,
            if(next_n != 0 AND (left_n = 0 OR next_n < left_n), next_n, left_n) AS end_n,
            -- Largest remainder: whole shares first, then one more for the largest remainders, ties by (tool, model).
            arraySum(l -> l.3, lines) AS total_cost,
            arrayMap(l -> toInt128(if(total_cost > 0, l.3, l.4)), lines) AS weights,
            greatest(arraySum(weights), 1) AS total,
            assistance IN ('unassisted', 'closed_without_work') OR empty(lines) AS is_unallocated,
            arrayMap(w -> intDiv(value * w, total), weights) AS whole,
            arraySlice(
                arraySort(i -> (-modulo(value * weights[i], total), lines[i].1, lines[i].2), arrayEnumerate(lines)),
                1, toUInt32(value - arraySum(whole))
            ) AS favoured,
            arraySort(i -> (-weights[i], lines[i].1, lines[i].2), arrayEnumerate(lines))[1] AS heaviest
        FROM standing
    )
SELECT
    kpart,
    tenant,
    work_item_id,
    n,
    at,
    if(end_n = 0, toDateTime64(0, 6, 'UTC'), history[end_n].occurred_at),
    NOT is_link,
    team,
    rule,
    if(is_excluded, 'excluded', class_by_rule),
    container,
    assistance,
    value,
    assistance = 'assisted' AND incomplete = 0,
    NOT container AND NOT is_evidence,
    if(is_unallocated, ('', ''), (lines[heaviest].1, lines[heaviest].2)),
    arrayConcat(
        arrayMap((l, w, i) -> (l.1, l.2, if(is_unallocated, 0, toInt64(w) + has(favoured, i)), l.5, l.3), lines, whole, arrayEnumerate(lines)),
        if(is_unallocated, [('', '', value, 0, 0)], [])
    )
FROM ended
