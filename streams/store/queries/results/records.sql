-- What became of the records so far, both topics and all partitions together.
SELECT
    toInt64(sum(usage_applied + items_applied)) AS applied,
    toInt64(sum(usage_duplicates + items_duplicates)) AS duplicate,
    toInt64(sum(usage_dead + items_dead)) AS dead,
    applied + duplicate + dead AS consumed
FROM checkpoints FINAL
