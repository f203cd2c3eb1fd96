-- Final windows that baselines are made of (of each size only the ends that the history keeps; the hours of teams of the last days at every end),
-- and all that are not judged yet.
SELECT
    tenant, grouping, team, work_class, size, toInt64(toUnixTimestamp(w.window_end)) * 1000000 AS window_end, status, backfill,
    standard_cost_micro_usd, unattributed_standard_cost_micro_usd, enabling_standard_cost_micro_usd,
    matched_standard_cost_micro_usd_credited, matched_standard_cost_micro_usd_debited,
    abandoned_standard_cost_micro_usd_booked, abandoned_standard_cost_micro_usd_reversed,
    items_completed, repeated_prompts, requests, tokens, value_credited_milli, value_debited_milli
FROM value_windows AS w FINAL
WHERE status = 'final' AND (grouping = 'team' OR grouping = 'team_class' AND work_class IN ('core', 'low_value'))
    AND size IN {sizes:Array(String)} AND (toUnixTimestamp(w.window_end) % transform(toString(size), {sizes:Array(String)}, {steps_s:Array(UInt32)}, 1) = 0
        OR size = '1h' AND grouping = 'team' AND w.window_end > toDateTime(greatest({recent_s:Int64}, 0))
        OR w.window_end > toDateTime(greatest({judged_s:Int64}, 0)))
    AND w.window_end >= toDateTime(greatest({since_s:Int64}, 0))
