-- Each record below the position is applied, a duplicate or a dead letter, and each of these has its row.
SELECT {outcome}
FROM (
    SELECT
        [c.topic, toString(c.kpart)] AS key,
        1 AS is_compared,
        c.applied + c.duplicates + c.dead + c.missing != c.next - c.begin
        OR c.applied != raw.rows
        OR c.duplicates != repeated.rows
        OR c.dead != refused.rows AS is_different,
        0 AS is_moved
    FROM (
        SELECT
            kpart, incarnation, side.1 AS topic, side.2 AS next, side.3 AS begin, side.4 AS applied, side.5 AS duplicates, side.6 AS dead, side.7 AS missing
        FROM {scratch}.positions
        ARRAY JOIN [
            ('usage-events', usage_next, usage_begin, usage_applied, usage_duplicates, usage_dead, usage_missing),
            ('work-item-events', items_next, items_begin, items_applied, items_duplicates, items_dead, items_missing)
        ] AS side
    ) AS c
    LEFT JOIN (
        SELECT 'usage-events' AS topic, r.kpart AS kpart, toInt64(count()) AS rows
        FROM (SELECT kpart, incarnation, koff FROM usage_events FINAL) AS r
        INNER JOIN {scratch}.positions AS p ON p.kpart = r.kpart AND p.incarnation = r.incarnation
        WHERE r.koff < bitAnd(p.usage_next, 0xFFFFFFFFFF)
        GROUP BY kpart

        UNION ALL

        SELECT 'work-item-events', r.kpart AS kpart, toInt64(count())
        FROM (SELECT kpart, incarnation, koff FROM work_item_events FINAL) AS r
        INNER JOIN {scratch}.positions AS p ON p.kpart = r.kpart AND p.incarnation = r.incarnation
        WHERE r.koff < bitAnd(p.items_next, 0xFFFFFFFFFF)
        GROUP BY kpart
    ) AS raw ON raw.topic = c.topic AND raw.kpart = c.kpart
    LEFT JOIN (
        SELECT r.topic AS topic, r.kpart AS kpart, toInt64(count()) AS rows
        FROM (SELECT topic, kpart, incarnation, koff FROM duplicates FINAL) AS r
        INNER JOIN {scratch}.positions AS p ON p.kpart = r.kpart AND p.incarnation = r.incarnation
        WHERE r.koff < bitAnd(if(r.topic = 'usage-events', p.usage_next, p.items_next), 0xFFFFFFFFFF)
        GROUP BY topic, kpart
    ) AS repeated ON repeated.topic = c.topic AND repeated.kpart = c.kpart
    LEFT JOIN (
        SELECT r.topic AS topic, r.kpart AS kpart, toInt64(count()) AS rows
        FROM (SELECT topic, kpart, incarnation, koff FROM dead_letters FINAL) AS r
        INNER JOIN {scratch}.positions AS p ON p.kpart = r.kpart AND p.incarnation = r.incarnation
        WHERE r.koff < bitAnd(if(r.topic = 'usage-events', p.usage_next, p.items_next), 0xFFFFFFFFFF)
        GROUP BY topic, kpart
    ) AS refused ON refused.topic = c.topic AND refused.kpart = c.kpart
)
