-- Stored panes from a time on, for the window agent's state.
SELECT * EXCEPT (pane_start, usage_next, items_next), toUnixTimestamp64Micro(p.pane_start) AS pane_start
FROM panes AS p FINAL
WHERE tenant IN {tenants:Array(String)} AND p.pane_start >= fromUnixTimestamp64Micro({since:Int64})
