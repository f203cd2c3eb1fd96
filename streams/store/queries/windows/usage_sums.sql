-- Usage in some buckets of a slide, by series: for windows that begin before the panes in memory.
SELECT tenant, team, tool, model, intDiv(toUnixTimestamp64Micro(p.pane_start), {slide_us:Int64}) AS bucket, {usage_sums}
FROM panes AS p FINAL
WHERE tenant IN {tenants:Array(String)} AND bucket IN {buckets:Array(Int64)}
    AND p.pane_start >= fromUnixTimestamp64Micro({since:Int64}) AND p.pane_start < fromUnixTimestamp64Micro({until:Int64})
GROUP BY tenant, team, tool, model, bucket
