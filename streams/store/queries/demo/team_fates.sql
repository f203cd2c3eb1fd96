-- Shares of each team's spend of the seven days before a midnight, by fate as known now.
SELECT team, fate, sum(standard_cost_micro_usd) / sum(sum(standard_cost_micro_usd)) OVER (PARTITION BY team) AS share
FROM v_spend_fate_daily
WHERE tenant = {tenant:String} AND day >= toDate(toDateTime({end_s:Int64}, 'UTC')) - 7 AND day < toDate(toDateTime({end_s:Int64}, 'UTC'))
GROUP BY team, fate
HAVING sum(standard_cost_micro_usd) > 0
ORDER BY team, fate
