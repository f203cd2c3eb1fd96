-- Teams of a tenant that were at work in an hour that ended one to four hours before a moment, and how many of them are silent in the last one.
SELECT toInt64(count()) AS teams, toInt64(countIf(50 * requests_now <= requests_before)) AS silent
FROM (
    SELECT
        team,
        sumIf(requests, window_end = toDateTime({until_s:Int64})) AS requests_now,
        maxIf(requests, window_end < toDateTime({until_s:Int64})) AS requests_before
    FROM value_windows FINAL
    WHERE tenant = {tenant:String} AND grouping = 'team' AND size = '1h'
        AND window_end IN (
            toDateTime({until_s:Int64}), toDateTime({until_s:Int64} - 3600), toDateTime({until_s:Int64} - 7200),
            toDateTime({until_s:Int64} - 10800), toDateTime({until_s:Int64} - 14400)
        )
    GROUP BY team
    HAVING requests_before >= 50
)
SETTINGS max_execution_time = 4
