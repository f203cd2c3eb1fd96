-- Actors that the last committed flush added.
SELECT * EXCEPT (pane_start, version), toUnixTimestamp64Micro(pane_start) AS pane_start
FROM pane_actors FINAL
WHERE kpart = {kpart:UInt16} AND version = {version:UInt64}
