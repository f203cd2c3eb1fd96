-- What a rule reads of a team's last final windows of one size, a step apart.
SELECT
    tenant, grouping, team, work_class, size, toInt64(toUnixTimestamp(w.window_end)) * 1000000 AS window_end, status, backfill,
    standard_cost_micro_usd, unattributed_standard_cost_micro_usd, enabling_standard_cost_micro_usd,
    matched_standard_cost_micro_usd_credited, matched_standard_cost_micro_usd_debited,
    abandoned_standard_cost_micro_usd_booked, abandoned_standard_cost_micro_usd_reversed,
    items_completed, repeated_prompts, requests, tokens, value_credited_milli, value_debited_milli
FROM value_windows AS w FINAL
WHERE tenant = {tenant:String} AND team = {team:String} AND size = {size:String} AND status = 'final'
    AND (grouping = 'team' OR grouping = 'team_class' AND work_class IN ('core', 'low_value'))
    AND w.window_end <= toDateTime({until_s:Int64}) AND w.window_end > toDateTime(greatest({until_s:Int64} - {step_s:Int64} * {count:Int64}, 0))
    AND ({until_s:Int64} - toInt64(toUnixTimestamp(w.window_end))) % {step_s:Int64} = 0
SETTINGS max_execution_time = 4
