-- Alerts that somebody is to hear of: those that fire, and those whose end is not long ago.
SELECT * EXCEPT (version) FROM alerts FINAL
WHERE deliver AND (state IN ('firing', 'no_data') OR state = 'resolved' AND window_end >= fromUnixTimestamp64Micro({since:Int64}))
