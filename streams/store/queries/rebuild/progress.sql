-- How far the partitions have come with one request.
SELECT kpart, epoch, done, total, finished FROM rebuilds FINAL WHERE requested_at = fromUnixTimestamp64Micro({requested_at:Int64}) ORDER BY kpart
