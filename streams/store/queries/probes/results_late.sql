-- Partitions whose windows are far behind the clock. Their watermark moves on even where no event comes, so they stand still.
-- Whoever never was on time reads old data for the first time: that is no news.
WITH (
    SELECT count() FROM (
        SELECT 1 FROM value_windows WHERE backfill = 0 AND window_end > fromUnixTimestamp64Micro({now:Int64}) - INTERVAL 35 DAY LIMIT 1
    )
) AS was_on_time
SELECT
    '' AS tenant, '' AS team,
    intDiv(max(behind_s) * 1000, 60) AS value, toInt64(0) AS baseline, intDiv({late_us:Int64}, 60000) AS threshold, toInt64(0) AS spend_micro_usd,
    toInt64(countIf(behind_s * 1000000 > {late_us:Int64})) AS amount, toInt64(count()) AS of, CAST([], 'Array(String)') AS names
FROM (SELECT intDiv({now:Int64} - toUnixTimestamp64Micro(watermark), 1000000) AS behind_s FROM window_checkpoints FINAL)
HAVING amount > 0 AND was_on_time
