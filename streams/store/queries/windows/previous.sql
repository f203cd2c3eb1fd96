-- Windows as last written, for the given teams and ends of one size: a revision counts on from them.
SELECT * EXCEPT (written_at, version, window_end, watermark), toInt64(toUnixTimestamp(w.window_end)) * 1000000 AS window_end
FROM value_windows AS w FINAL
WHERE tenant IN {tenants:Array(String)} AND grouping IN {groupings:Array(String)} AND team IN {teams:Array(String)} AND size = {size:String}
    AND w.window_end >= toDateTime({first:UInt32}) AND w.window_end <= toDateTime({last:UInt32}) AND toUnixTimestamp(w.window_end) IN {ends:Array(UInt32)}
