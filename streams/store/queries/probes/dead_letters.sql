-- Records of the last 15 minutes that could not be used: many, and a large share of all. The others are counted only if there are so many.
WITH
    fromUnixTimestamp64Micro({now:Int64}) - INTERVAL 15 MINUTE AS since,
    (SELECT count() FROM dead_letters FINAL WHERE appended_at > since) AS dead,
    (SELECT count() FROM usage_events WHERE dead >= {least_records:Int64} AND appended_at > since) AS usage,
    (SELECT count() FROM work_item_events WHERE dead >= {least_records:Int64} AND appended_at > since) AS items
SELECT
    '' AS tenant, '' AS team,
    toInt64(intDiv(1000 * amount, greatest(of, 1))) AS value, toInt64(0) AS baseline, {least_share_per_mille:Int64} AS threshold, toInt64(0) AS spend_micro_usd,
    toInt64(dead) AS amount, toInt64(dead + usage + items) AS of,
    (SELECT topK(4)(toString(reason)) FROM dead_letters FINAL WHERE appended_at > since) AS names
WHERE amount >= {least_records:Int64} AND 1000 * amount > {least_share_per_mille:Int64} * of
