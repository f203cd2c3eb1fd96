-- Panes and bookings summed per group and slide of each family.
INSERT INTO {scratch}.slots
SELECT size, crowd, id, slot, sum(pane_sums)
FROM (
    SELECT f.size AS size, m.crowd AS crowd, m.id AS id, intDiv(toUnixTimestamp(pane.pane_start), f.slide_s) * f.slide_s AS slot, pane.sums AS pane_sums
    FROM (
        SELECT tenant, team, tool, model, '' AS work_class, pane_start, sum(sums) AS sums FROM {scratch}.panes
        GROUP BY tenant, team, tool, model, pane_start
        UNION ALL
        SELECT tenant, team, tool, model, work_class, pane_start, sum(sums) AS sums FROM {scratch}.bookings
        GROUP BY tenant, team, tool, model, work_class, pane_start
    ) AS pane
    INNER JOIN {scratch}.members AS m
        ON m.tenant = pane.tenant AND m.team = pane.team AND m.tool = pane.tool AND m.model = pane.model AND m.work_class = pane.work_class
    CROSS JOIN {scratch}.families AS f
)
GROUP BY size, crowd, id, slot
