-- Every stored pane, for the window agent's state.
SELECT * EXCEPT (pane_start, usage_next, items_next), toUnixTimestamp64Micro(pane_start) AS pane_start
FROM panes FINAL WHERE tenant IN {tenants:Array(String)}
