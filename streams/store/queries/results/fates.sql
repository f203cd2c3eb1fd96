-- Spend of the last days by team and fate, as known now.
SELECT
    team, fate,
    toInt64(sum(requests)) AS requests,
    toInt64(sum(tokens)) AS tokens,
    toInt64(sum(standard_cost_micro_usd)) AS standard_cost_micro_usd
FROM v_spend_fate_daily
WHERE tenant = {tenant:String} AND ({team:String} = '' OR team = {team:String})
    AND day > (SELECT max(day) FROM v_spend_fate_daily WHERE tenant = {tenant:String}) - {days:UInt32}
GROUP BY team, fate
ORDER BY standard_cost_micro_usd DESC, team, fate
