-- Raw rows of each partition.
SELECT kpart, sum(rows)
FROM (
    SELECT kpart, count() AS rows FROM usage_events GROUP BY kpart
    UNION ALL
    SELECT kpart, count() FROM work_item_events GROUP BY kpart
)
GROUP BY kpart
ORDER BY kpart
