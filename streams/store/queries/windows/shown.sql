-- Windows that were last written as provisional: what is left of them must be written by the next owner, even if that is nothing.
SELECT tenant, grouping, team, tool, model, work_class, size, toInt64(toUnixTimestamp(window_end)) * 1000000 AS window_end, backfill,
    toUnixTimestamp64Micro(watermark) AS watermark
FROM value_windows FINAL
WHERE status = 'provisional' AND tenant IN {tenants:Array(String)}
