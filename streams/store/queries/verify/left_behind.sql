-- Scratch databases of runs that were killed: nothing has changed in them for a day.
SELECT database
FROM system.tables
WHERE startsWith(database, {prefix:String})
GROUP BY database
HAVING max(metadata_modification_time) < now() - INTERVAL 1 DAY
