-- Raw rows below the position whose identity a row of lower offset already has.
INSERT INTO {scratch}.repeats
SELECT {topic:String}, raw.kpart, raw.incarnation, raw.koff, raw.tenant, raw.event_id
FROM (SELECT * FROM {raw} FINAL WHERE {scope}) AS raw
INNER JOIN {scratch}.ends AS p ON p.kpart = raw.kpart AND p.incarnation = raw.incarnation
WHERE raw.koff < p.{end}
QUALIFY row_number() OVER (PARTITION BY raw.kpart, raw.tenant, raw.event_id ORDER BY raw.incarnation, raw.koff) > 1
