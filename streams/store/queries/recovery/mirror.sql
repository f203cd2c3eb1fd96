-- The last position that a flush mirrored, whether or not the group committed it.
SELECT * FROM checkpoints FINAL WHERE kpart IN {kparts:Array(UInt16)}
