-- Rebuilds that are not finished, the oldest of each partition first.
SELECT
    kpart, toUnixTimestamp64Micro(requested_at) AS requested_at, toUnixTimestamp64Micro(from_time) AS from_us,
    toUnixTimestamp64Micro(to_time) AS to_us, epoch, done, total, cursor
FROM rebuilds FINAL
WHERE kpart IN {kparts:Array(UInt16)} AND NOT finished
ORDER BY kpart, rebuilds.requested_at
