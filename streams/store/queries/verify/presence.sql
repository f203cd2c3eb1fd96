-- The actors of each group in each slide of each family.
INSERT INTO {scratch}.presence
SELECT DISTINCT f.size, m.crowd, a.actor_hash, intDiv(toUnixTimestamp(a.pane_start), f.slide_s) * f.slide_s
FROM {scratch}.pane_actors AS a
INNER JOIN {scratch}.members AS m ON m.tenant = a.tenant AND m.team = a.team AND m.tool = a.tool AND m.model = a.model
CROSS JOIN {scratch}.families AS f
WHERE m.work_class = '' AND m.id = m.crowd
