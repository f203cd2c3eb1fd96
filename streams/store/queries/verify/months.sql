-- Months that have raw usage, as the table is partitioned.
SELECT DISTINCT _partition_id FROM usage_events ORDER BY _partition_id
