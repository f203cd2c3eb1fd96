-- How far the results of each partition have come, and who wrote them last.
SELECT kpart, usage_next, items_next, toString(worker) AS worker, flushed_at FROM checkpoints FINAL ORDER BY kpart
