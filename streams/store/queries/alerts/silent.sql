-- Teams of a tenant that were at work in an hour that ended one to four hours before a moment, and how many of them are silent for half an hour by then:
-- their hour has lost requests since, a fifth or more, and gained none, or it is empty.
SELECT toInt64(count()) AS teams, toInt64(countIf(falls AND (5 * lately[1] <= 4 * lately[7]))) AS silent
FROM (
    SELECT
        team,
        groupArray((toInt64(toUnixTimestamp(window_end)), requests)) AS hours,
        arrayMap(back -> arraySum(hour -> if(hour.1 = {until_s:Int64} - 300 * back, hour.2, 0), hours), range(7)) AS lately,
        NOT arrayExists((later, earlier) -> later > earlier, arrayPopBack(lately), arrayPopFront(lately)) AS falls,
        maxIf(requests, window_end IN (
            toDateTime({until_s:Int64} - 3600), toDateTime({until_s:Int64} - 7200), toDateTime({until_s:Int64} - 10800), toDateTime({until_s:Int64} - 14400)
        )) AS requests_before
    FROM value_windows FINAL
    WHERE tenant = {tenant:String} AND grouping = 'team' AND size = '1h'
        AND window_end > toDateTime({until_s:Int64} - 14401) AND window_end <= toDateTime({until_s:Int64})
    GROUP BY team
    HAVING requests_before >= 50
)
SETTINGS max_execution_time = 4
