-- Where each item is booked: credits and their debits, abandonments and their reversals, and counts. Amounts are the 20 outcome measures in
-- the order of the columns of value_windows.
INSERT INTO {scratch}.bookings
WITH
    amounts AS (
        -- A credit at its time and its debit, which repeats it, when it ends. What a link leaves, a credit of 0, is only remembered: no credit
        -- is booked, its debit is.
        SELECT
            kpart, tenant, work_item_id, side.1 AS at, team, place.tool AS tool, place.model AS model, work_class,
            if(side.2 = 'credited',
                [0, 0, 0, 0, 0, 0, 0, 0, place.value, 0, place.value * is_assisted_value, 0, place.tokens, 0, place.cost, 0, 0, 0, 0, 0],
                [0, 0, 0, 0, 0, 0, 0, 0, 0, place.value, 0, place.value * is_assisted_value, 0, place.tokens, 0, place.cost, 0, 0, 0, 0]
            ) AS amount
        FROM (SELECT *, arrayJoin(places) AS place FROM {scratch}.credits) AS c
        ARRAY JOIN [(c.at, 'credited'), (c.ends_at, 'debited')] AS side
        WHERE if(side.2 = 'credited', c.is_booked, side.1 != toDateTime64(0, 6, 'UTC'))

        UNION ALL

        SELECT
            kpart, tenant, work_item_id, at, team, dominant.1, dominant.2, work_class,
            [
                assistance != 'closed_without_work',
                assistance = 'assisted',
                assistance = 'assisted_unknown',
                assistance = 'lightly_assisted',
                assistance = 'unassisted',
                assistance = 'closed_without_work',
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
            ]
        FROM {scratch}.credits
        WHERE is_booked AND is_counted

        UNION ALL

        SELECT
            kpart, tenant, work_item_id, history[n].occurred_at, if(first_completion != 0 AND n > first_completion, team_at[n], last_team), '', '', '',
            [0, 0, 0, 0, 0, 0, after[n] = 'open', after[n] = 'canceled', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        FROM {scratch}.histories
        ARRAY JOIN arrayEnumerate(history) AS n
        WHERE (before[n] = 'completed' AND after[n] = 'open') OR (before[n] != 'canceled' AND after[n] = 'canceled')

        UNION ALL

        SELECT
            a.kpart, a.tenant, a.work_item_id, a.side.1, a.team, line.tool, line.model, '',
            if(a.side.2 = 'booked',
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, line.tokens, 0, line.cost, 0],
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, line.tokens, 0, line.cost]
            )
        FROM (
            SELECT
                kpart, tenant, work_item_id, if(first_completion != 0 AND n > first_completion, team_at[n], last_team) AS team,
                toDate(history[n].occurred_at) AS day,
                arrayFirstIndex((b, a, i) -> i > n AND b = 'canceled' AND a != 'canceled', before, after, arrayEnumerate(history)) AS left_n,
                arrayJoin(arrayConcat([(history[n].occurred_at, 'booked')], if(left_n = 0, [], [(history[left_n].occurred_at, 'reversed')]))) AS side
            FROM {scratch}.histories
            ARRAY JOIN arrayEnumerate(history) AS n
            WHERE before[n] != 'canceled' AND after[n] = 'canceled'
        ) AS a
        INNER JOIN (SELECT * FROM {scratch}.lines WHERE {scope}) AS line ON line.kpart = a.kpart AND line.tenant = a.tenant AND line.work_item_id = a.work_item_id
        WHERE line.usage_day <= a.day + 14
    )
SELECT
    kpart, tenant, work_item_id, toStartOfFiveMinutes(toDateTime(at, 'UTC')) AS pane_start, team, tool, model, work_class,
    arrayDotProduct(sumForEach(arrayMap(x -> toInt64(x), amount)), arraySlice({factors:Array(Int64)}, 24, 20))
FROM amounts
WHERE arrayExists(x -> x != 0, amount)
GROUP BY kpart, tenant, work_item_id, pane_start, team, tool, model, work_class
