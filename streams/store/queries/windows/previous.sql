-- Windows as last written, for the given ends of one size: a revision counts on from them.
SELECT * EXCEPT (written_at, version, window_end, watermark), toInt64(toUnixTimestamp(window_end)) * 1000000 AS window_end
FROM value_windows FINAL
WHERE tenant IN {tenants:Array(String)} AND size = {size:String} AND toUnixTimestamp(value_windows.window_end) IN {ends:Array(UInt32)}
