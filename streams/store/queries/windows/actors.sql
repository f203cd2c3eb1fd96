-- Every stored actor of a pane, for the window agent's state.
SELECT * EXCEPT (pane_start, version), toUnixTimestamp64Micro(pane_start) AS pane_start
FROM pane_actors FINAL WHERE tenant IN {tenants:Array(String)}
