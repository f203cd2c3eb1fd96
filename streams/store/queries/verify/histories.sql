-- Each item's accepted events below the position in fold order, and what they do to its state and attributes.
INSERT INTO {scratch}.histories
WITH
    (SELECT arraySort(groupUniqArray(effective_from)) FROM value_rules) AS rule_sets,
    -- The state that an event leads to; '' leaves it as it is.
    arrayMap(
        e -> multiIf(
            e.kind = 'completed', 'completed',
            e.kind IN ('canceled', 'deleted', 'moved') OR (e.kind = 'linked' AND e.link_type = 'duplicates'), 'canceled',
            e.kind = 'reopened', 'open',
            ''),
        history
    ) AS targets,
    -- Attributes are open until the first completion; after it only a reclassification changes them.
    arrayMap((e, n) -> first = 0 OR n <= first OR e.kind = 'reclassified', history, arrayEnumerate(history)) AS names_attributes,
    indexOf(arrayMap(e -> e.kind, history), 'started') AS start,
    if(first = 0, length(history), first) AS frozen,
    arrayMap(e -> e.size_milli, arraySlice(history, 1, frozen)) AS sizes,
    arrayLast(size -> size != 0, arraySlice(sizes, 1, start)) AS size_until_start
SELECT
    kpart,
    tenant,
    work_item_id,
    history,
    arrayPushFront(arrayPopBack(after_), 'open') AS before_,
    arrayPopFront(arrayFill(state -> state != '', arrayPushFront(targets, 'open'))) AS after_,
    arrayMap(
        e -> e.kind = 'linked' AND e.link_type IN ('subtask_of', 'implements', 'closes') AND e.link_value != work_item_id, history
    ) AS evidence_links,
    arrayMap(links -> links > 0, arrayCumSum(evidence_links)),
    arrayMap(works -> works > 0, arrayCumSum(e -> e.kind IN ('started', 'linked'), history)),
    arrayFill(n -> n != 0, arrayMap((b, a, n) -> if(b != 'completed' AND a = 'completed', n, 0), before_, after_, arrayEnumerate(history))),
    indexOf(targets, 'completed') AS first,
    arrayMap(e -> greatest(arrayLast(since -> since <= e.occurred_at, rule_sets), rule_sets[1]), history),
    arrayFill(x -> x != '', arrayMap((e, names) -> if(names, e.team, ''), history, names_attributes)),
    arrayFill(x -> x != '', arrayMap((e, names) -> if(names, e.item_type, ''), history, names_attributes)),
    arrayFill(x -> notEmpty(x), arrayMap((e, names) -> if(names, e.labels, []), history, names_attributes)),
    arrayFill(x -> x != '', arrayMap((e, names) -> if(names, e.parent_id, ''), history, names_attributes)),
    arrayLast(x -> x != '', arrayMap(e -> e.team, history)),
    if(size_until_start != 0, size_until_start, arrayFirst(size -> size != 0, sizes))
FROM (
    SELECT
        raw.kpart AS kpart,
        toString(raw.tenant) AS tenant,
        raw.work_item_id AS work_item_id,
        arraySort(
            e -> (e.occurred_at, e.event_id),
            groupArray(CAST(
                (raw.occurred_at, raw.event_id, raw.kind, raw.team, raw.item_type, raw.labels, raw.size_milli, raw.parent_id, raw.link_type, raw.link_value),
                'Tuple(occurred_at DateTime64(6, \'UTC\'), event_id String, kind String, team String, item_type String, labels Array(String), size_milli Int64, parent_id String, link_type String, link_value String)'
            ))
        ) AS history
    FROM (SELECT * FROM work_item_events FINAL WHERE {scope}) AS raw
    INNER JOIN {scratch}.ends AS p ON p.kpart = raw.kpart AND p.incarnation = raw.incarnation
    WHERE raw.koff < p.items_end
      AND (raw.kpart, raw.incarnation, raw.koff) NOT IN (SELECT kpart, incarnation, koff FROM {scratch}.repeats WHERE topic = 'work-item-events')
    GROUP BY kpart, tenant, work_item_id
)
