-- Actors in some buckets of a slide, by series: for windows that begin before the panes in memory.
SELECT DISTINCT tenant, team, tool, model, intDiv(toUnixTimestamp64Micro(p.pane_start), {slide_us:Int64}) AS bucket, actor_hash
FROM pane_actors AS p
WHERE tenant IN {tenants:Array(String)} AND bucket IN {buckets:Array(Int64)} AND actor_hash != xxHash64('')
    AND p.pane_start >= fromUnixTimestamp64Micro({since:Int64}) AND p.pane_start < fromUnixTimestamp64Micro({until:Int64})
