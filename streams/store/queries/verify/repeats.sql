-- Raw rows below the position whose identity a row of lower offset already has.
INSERT INTO {scratch}.repeats
SELECT {topic:String}, raw.kpart, raw.incarnation, raw.koff, raw.tenant, raw.event_id
FROM (SELECT * FROM {raw} FINAL WHERE {scope}) AS raw
INNER JOIN {scratch}.positions AS p ON p.kpart = raw.kpart
WHERE (raw.incarnation, raw.koff) < (p.incarnation, p.{next})
QUALIFY row_number() OVER (PARTITION BY raw.kpart, raw.tenant, raw.event_id ORDER BY raw.incarnation, raw.koff) > 1
