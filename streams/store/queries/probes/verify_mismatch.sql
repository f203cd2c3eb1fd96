-- The last verification of two days, if it found rows that differ.
SELECT
    '' AS tenant, '' AS team,
    different AS value, toInt64(0) AS baseline, {least_rows:Int64} AS threshold, toInt64(0) AS spend_micro_usd,
    different AS amount, compared AS of, tables AS names
FROM verifications
WHERE verified_at = (
    SELECT max(verified_at) FROM verifications
    WHERE verified_at > fromUnixTimestamp64Micro({now:Int64}) - INTERVAL 2 DAY
) AND different >= {least_rows:Int64}
LIMIT 1
