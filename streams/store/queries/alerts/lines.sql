-- Usage of a team by tool and model in one stretch (step 0) and in those that end one or more steps before it; and when its usage began.
SELECT
    toString(tool) AS tool,
    toString(model) AS model,
    intDiv({until:Int64} - 1 - toUnixTimestamp64Micro(pane_start), {step:Int64}) AS steps_before,
    sum(requests) AS requests,
    sum(tokens) AS tokens,
    sum(standard_cost_micro_usd) AS cost,
    sum(unattributed_standard_cost_micro_usd) AS unattributed,
    sum(repeated_prompts) AS repeated,
    (
        SELECT toUnixTimestamp64Micro(min(pane_start)) FROM panes
        WHERE tenant = {tenant:String} AND team = {team:String} AND pane_start >= fromUnixTimestamp64Micro({since:Int64})
    ) AS first_used
FROM panes FINAL
WHERE tenant = {tenant:String} AND team = {team:String}
    AND pane_start >= fromUnixTimestamp64Micro({since:Int64}) AND pane_start < fromUnixTimestamp64Micro({until:Int64})
    AND ({until:Int64} - 1 - toUnixTimestamp64Micro(pane_start)) % {step:Int64} < {length:Int64}
GROUP BY tool, model, steps_before
ORDER BY cost DESC
LIMIT 10000
SETTINGS max_execution_time = 4
