-- Prompts of accepted usage in a stretch of event time.
SELECT tenant, event_id, toUnixTimestamp64Micro(occurred_at) AS occurred_at, team, tool, model, work_item_id, session_id, actor, prompt_fingerprint
FROM usage_events
WHERE kpart = {kpart:UInt16} AND koff < {usage_ends:Array(Int64)}[incarnation + 1] AND prompt_fingerprint != ''
  AND usage_events.occurred_at >= fromUnixTimestamp64Micro({since:Int64}) AND usage_events.occurred_at < fromUnixTimestamp64Micro({until:Int64})
