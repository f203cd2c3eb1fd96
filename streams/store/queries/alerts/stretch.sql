-- Final windows of a tenant that alerts are judged by, of a stretch of time: all ends after whole_s, before it only those that the history keeps.
SELECT
    tenant, grouping, team, work_class, size, toInt64(toUnixTimestamp(w.window_end)) * 1000000 AS window_end, status, backfill,
    standard_cost_micro_usd, unattributed_standard_cost_micro_usd, enabling_standard_cost_micro_usd,
    matched_standard_cost_micro_usd_credited, matched_standard_cost_micro_usd_debited,
    abandoned_standard_cost_micro_usd_booked, abandoned_standard_cost_micro_usd_reversed,
    items_completed, repeated_prompts, requests, tokens, value_credited_milli, value_debited_milli
FROM value_windows AS w FINAL
WHERE tenant = {tenant:String} AND status = 'final' AND (grouping = 'team' OR grouping = 'team_class' AND work_class IN ('core', 'low_value'))
    AND (empty({teams:Array(String)}) OR team IN {teams:Array(String)})
    AND size IN {sizes:Array(String)}
    AND w.window_end > toDateTime(greatest({after_s:Int64}, 0)) AND w.window_end <= toDateTime(greatest({until_s:Int64}, 0))
    AND (w.window_end > toDateTime(greatest({whole_s:Int64}, 0))
        OR toUnixTimestamp(w.window_end) % transform(toString(size), {sizes:Array(String)}, {steps_s:Array(UInt32)}, 1) = 0)
