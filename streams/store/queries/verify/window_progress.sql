-- How far the window agent is: partitions of its input, those that have not seen the fixed positions, its watermark, and
-- whether there are windows at all.
WITH
    (SELECT groupArray((kpart, usage_next, items_next)) FROM {scratch}.positions) AS fixed,
    (SELECT min(least(usage_watermark, items_watermark)) FROM {scratch}.positions) AS fixed_watermark
SELECT
    count() AS parts,
    countIf(
        watermark < fixed_watermark
        OR NOT arrayAll(f -> arrayExists(p -> p.1 = f.1 AND p.2 >= f.2 AND p.3 >= f.3, positions), fixed)
    ) AS behind,
    toUnixTimestamp64Micro(min(watermark)) AS agent_watermark,
    (SELECT count() > 0 FROM value_windows) AS has_windows
FROM window_checkpoints FINAL
