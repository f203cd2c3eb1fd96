-- The lives of partitions, oldest first.
SELECT * EXCEPT (opened_at, version) FROM incarnations FINAL WHERE kpart IN {kparts:Array(UInt16)} ORDER BY kpart, incarnation
