-- Stored actors of panes from a time on, for the window agent's state.
SELECT DISTINCT * EXCEPT (pane_start, version), toUnixTimestamp64Micro(p.pane_start) AS pane_start
FROM pane_actors AS p
WHERE tenant IN {tenants:Array(String)} AND p.pane_start >= fromUnixTimestamp64Micro({since:Int64})
