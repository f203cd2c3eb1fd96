-- Alerts that are open, or were closed lately.
SELECT * EXCEPT (version) FROM alerts FINAL
WHERE resolved_at = toDateTime64(0, 6, 'UTC') OR resolved_at >= fromUnixTimestamp64Micro({since:Int64})
