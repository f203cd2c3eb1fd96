-- How far the results of each partition have come, and who wrote them last.
SELECT kpart, bitAnd(usage_next, 0xFFFFFFFFFF) AS usage_next, bitAnd(items_next, 0xFFFFFFFFFF) AS items_next, toString(worker) AS worker, flushed_at FROM checkpoints FINAL ORDER BY kpart
