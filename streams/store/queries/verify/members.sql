-- The groups of each (team, tool, model, work class) that has usage or bookings.
INSERT INTO {scratch}.members
SELECT
    tenant, team, tool, model, work_class,
    sipHash64(tenant, grouping, group.3, group.4, group.5, group.6),
    sipHash64(tenant, crowd_grouping, group.3, group.4, group.5, ''),
    (tenant, grouping, if(by_team, team, ''), if(by_tool, tool, ''), if(by_model, model, ''), if(by_class, work_class, '')) AS group
FROM (
    SELECT tenant, team, tool, model, '' AS work_class FROM {scratch}.panes
    UNION DISTINCT
    SELECT tenant, team, tool, model, work_class FROM {scratch}.bookings
) AS places
CROSS JOIN {scratch}.groupings AS groupings
