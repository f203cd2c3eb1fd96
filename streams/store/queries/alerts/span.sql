-- From when to when there are final windows, over all tenants, and the last one of an hour: the others go on for as long as they are after the last event.
SELECT
    toInt64(toUnixTimestamp(min(w.window_end))) AS first_s, toInt64(toUnixTimestamp(max(w.window_end))) AS last_s,
    toInt64(toUnixTimestamp(maxIf(w.window_end, size = '1h'))) AS last_hour_s, count() AS windows
FROM value_windows AS w WHERE status = 'final'
