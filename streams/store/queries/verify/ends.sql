-- Closed lives end where they were closed, the present one at the fixed position (incarnation << 40 | offset).
INSERT INTO {scratch}.ends
SELECT kpart, incarnation, usage_end, items_end
FROM incarnations FINAL
WHERE (kpart, incarnation) NOT IN (SELECT kpart, incarnation FROM {scratch}.positions) AND usage_end >= 0
UNION ALL
SELECT kpart, incarnation, bitAnd(usage_next, 0xFFFFFFFFFF), bitAnd(items_next, 0xFFFFFFFFFF) FROM {scratch}.positions
