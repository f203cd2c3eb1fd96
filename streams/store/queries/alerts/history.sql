-- Final windows that baselines are made of.
SELECT * EXCEPT (written_at, version, window_end, watermark), toInt64(toUnixTimestamp(window_end)) * 1000000 AS window_end FROM value_windows FINAL
WHERE status = 'final' AND grouping IN ('team', 'team_class') AND size IN ('1h', '24h', '7d') AND toUnixTimestamp(value_windows.window_end) >= {since_s:Int64}
