-- Where all spend ended, as known now.
SELECT fate, toInt64(sum(standard_cost_micro_usd)) AS standard_cost_micro_usd
FROM v_spend_fate_daily
WHERE tenant = {tenant:String}
GROUP BY fate
HAVING standard_cost_micro_usd > 0
ORDER BY fate
