-- The highest epoch that anyone ever claimed for each of the given partitions.
SELECT kpart, max(epoch) AS epoch FROM claims WHERE kpart IN {kparts:Array(UInt16)} GROUP BY kpart
