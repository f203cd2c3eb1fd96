-- The last few final windows of one size and grouping, newest first, the largest spend first within a window.
SELECT
    toDateTime64(w.window_start, 6, 'UTC') AS window_start, toDateTime64(w.window_end, 6, 'UTC') AS window_end, team, tool, model, work_class, revision,
    requests, tokens, standard_cost_micro_usd, cost_micro_usd, contributors,
    items_completed, items_assisted, items_reopened, items_canceled, net_value_milli,
    net_core_value_milli, core_null_reason,
    core_per_mtok, core_per_mtok_null_reason, core_per_raw_mtok, unit_cost_micro_usd, unit_cost_null_reason,
    partial_request_share, unknown_request_share, unpriced_request_share, unattributed_cost_share, enabling_cost_share, reopened_share,
    suppressed_reason
FROM v_value_windows AS w
WHERE tenant = {tenant:String} AND grouping = {grouping:String} AND size = {size:String} AND status = 'final'
    AND ({team:String} = '' OR team = {team:String})
    AND w.window_end IN (
        SELECT DISTINCT window_end
        FROM value_windows FINAL
        WHERE tenant = {tenant:String} AND grouping = {grouping:String} AND size = {size:String} AND status = 'final'
            AND ({team:String} = '' OR team = {team:String}) AND toUnixTimestamp(window_end) <= {until_s:Int64}
        ORDER BY window_end DESC
        LIMIT {last:UInt32}
    )
ORDER BY w.window_end DESC, standard_cost_micro_usd DESC, team, tool, model, work_class
