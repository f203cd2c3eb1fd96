-- Accepted usage that shares an identity, or a pane and a prompt, with usage that came later than the dedup horizon.
SELECT tenant, event_id, toUnixTimestamp64Micro(occurred_at) AS occurred_at, team, tool, model, work_item_id, session_id, actor, prompt_fingerprint
FROM usage_events
WHERE kpart = {kpart:UInt16} AND koff < {ends:Array(Int64)}[incarnation + 1]
  AND (event_id IN {ids:Array(String)}
       OR (prompt_fingerprint IN {prompts:Array(String)} AND toUnixTimestamp(toStartOfFiveMinutes(usage_events.occurred_at)) IN {pane_seconds:Array(UInt32)}))
