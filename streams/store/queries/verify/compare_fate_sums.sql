-- The fates of a day in the view, over all teams, against its usage in the panes: no spend is in two fates or in none.
SELECT {outcome}
FROM (
    SELECT
        [tenant, toString(day)] AS key,
        sumIf(sums, is_fate) AS fates,
        sumIf(sums, NOT is_fate) AS used,
        fates != 0 OR used != 0 AS is_compared,
        fates != used AS is_different,
        0 AS is_moved
    FROM (
        SELECT tenant, day, arrayDotProduct([requests, tokens, standard_cost_micro_usd], arraySlice({factors:Array(Int64)}, 1, 3)) AS sums, 1 AS is_fate
        FROM v_spend_fate_daily
        WHERE {day_scope}

        UNION ALL

        SELECT
            tenant, toDate(pane_start), arrayDotProduct([requests, tokens, standard_cost_micro_usd], arraySlice({factors:Array(Int64)}, 1, 3)), 0
        FROM (SELECT *, toDate(pane_start) AS day FROM panes FINAL WHERE {day_scope})
    )
    GROUP BY tenant, day
)
