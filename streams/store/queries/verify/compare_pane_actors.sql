-- pane_actors against the recomputed sets.
SELECT {outcome}
FROM (
    SELECT
        [toString(kpart), tenant, team, tool, model, toString(pane_start), toString(actor_hash)] AS key,
        1 AS is_compared,
        max(is_stored) != max(NOT is_stored) AS is_different,
        max(is_ahead) AS is_moved
    FROM (
        SELECT kpart, tenant, team, tool, model, pane_start, actor_hash, 0 AS is_stored, 0 AS is_ahead FROM {scratch}.pane_actors WHERE {scope}

        UNION ALL

        SELECT kpart, tenant, team, tool, model, toDateTime(pane_start, 'UTC'), actor_hash, 1, s.version > p.version
        FROM (SELECT * FROM pane_actors FINAL WHERE {scope}) AS s
        LEFT JOIN {scratch}.positions AS p ON p.kpart = s.kpart
    )
    GROUP BY kpart, tenant, team, tool, model, pane_start, actor_hash
)
