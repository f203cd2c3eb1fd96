-- Records of the last 15 minutes that could not be used: 50 or more, and more than one of a hundred. The others are counted only if there are so many.
WITH
    fromUnixTimestamp64Micro({now:Int64}) - INTERVAL 15 MINUTE AS since,
    (SELECT count() FROM dead_letters FINAL WHERE appended_at > since) AS dead,
    (SELECT count() FROM usage_events WHERE dead >= 50 AND appended_at > since) AS usage,
    (SELECT count() FROM work_item_events WHERE dead >= 50 AND appended_at > since) AS items
SELECT
    '' AS tenant, '' AS team,
    toInt64(intDiv(1000 * amount, greatest(of, 1))) AS value, toInt64(0) AS baseline, toInt64(10) AS threshold, toInt64(0) AS spend_micro_usd,
    toInt64(dead) AS amount, toInt64(dead + usage + items) AS of,
    (SELECT topK(4)(toString(reason)) FROM dead_letters FINAL WHERE appended_at > since) AS names
WHERE amount >= 50 AND 100 * amount > of
