-- Who used AI in each five minutes; an empty actor is nobody.
INSERT INTO {scratch}.pane_actors
SELECT DISTINCT
    raw.kpart, raw.tenant, raw.team, raw.tool, raw.model, raw.pane_start, xxHash64(raw.actor)
FROM (
    SELECT *, toStartOfFiveMinutes(toDateTime(occurred_at, 'UTC')) AS pane_start FROM usage_events FINAL WHERE {scope}
) AS raw
INNER JOIN {scratch}.ends AS p ON p.kpart = raw.kpart AND p.incarnation = raw.incarnation
WHERE raw.actor != ''
  AND raw.koff < p.usage_end
  AND (raw.kpart, raw.incarnation, raw.koff) NOT IN (SELECT kpart, incarnation, koff FROM {scratch}.repeats WHERE topic = 'usage-events')
