-- Alerts that fired, in the order in which they began.
SELECT
    rule, team, kind,
    toUnixTimestamp64Micro(started_at) AS started_us,
    toUnixTimestamp64Micro(assumeNotNull(fired_at)) AS fired_us
FROM v_alerts
WHERE tenant = {tenant:String} AND isNotNull(fired_at)
ORDER BY started_at, team, rule
