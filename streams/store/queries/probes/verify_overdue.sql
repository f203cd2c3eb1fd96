-- Hours since the last verification, if they are more than `after`. Whoever never verified has not set it up.
SELECT
    '' AS tenant, '' AS team,
    intDiv({now:Int64} - toUnixTimestamp64Micro(max(verified_at)), 3600000000) AS value, toInt64(24) AS baseline, intDiv({after_us:Int64}, 3600000000) AS threshold,
    toInt64(0) AS spend_micro_usd, value AS amount, toInt64(0) AS of, CAST([], 'Array(String)') AS names
FROM verifications
HAVING count() > 0 AND max(verified_at) < fromUnixTimestamp64Micro({now:Int64} - {after_us:Int64})
