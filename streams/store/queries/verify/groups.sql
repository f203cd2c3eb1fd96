-- Every group, of panes or of stored windows.
INSERT INTO {scratch}.groups
SELECT DISTINCT id, crowd, group FROM {scratch}.members
UNION DISTINCT
SELECT
    sipHash64(w.tenant, w.grouping, w.team, w.tool, w.model, w.work_class),
    sipHash64(w.tenant, g.crowd_grouping, w.team, w.tool, w.model, ''),
    (w.tenant, w.grouping, w.team, w.tool, w.model, w.work_class)
FROM (
    SELECT DISTINCT toString(tenant) AS tenant, toString(grouping) AS grouping, toString(team) AS team, toString(tool) AS tool,
        toString(model) AS model, toString(work_class) AS work_class
    FROM value_windows
    WHERE {scope}
) AS w
LEFT JOIN {scratch}.groupings AS g ON g.grouping = w.grouping
