-- What the rules say about each type and labels in use, per rule set: the first rule that matches, with a label's override. A pattern that
-- ends with * matches a prefix. Overrides come after the rules up to closed_without_work; of two the one of higher value holds.
INSERT INTO {scratch}.matches
WITH
    s -> replaceAll(replaceAll(caseFoldUTF8(s), '-', ' '), '_', ' ') AS plain,
    wanted AS (
        SELECT DISTINCT rules_at[completion_at[n]] AS since, item_type_at[n] AS item_type, labels_at[n] AS labels
        FROM {scratch}.histories ARRAY JOIN arrayEnumerate(history) AS n
        WHERE completion_at[n] != 0
        UNION DISTINCT
        SELECT rules_at[-1], item_type_at[-1], labels_at[-1] FROM {scratch}.histories
    ),
    rule_sets AS (
        SELECT
            effective_from AS since,
            arraySort(r -> r.number, groupArrayIf(
                CAST((r.rule, r.kind, r.patterns, r.base_milli, r.sized, r.work_class),
                    'Tuple(number UInt16, kind String, patterns Array(String), base_milli Int64, sized UInt8, work_class String)'),
                r.kind IN ('container', 'match', 'unclassified')
            )) AS rules,
            arraySort(o -> (-o.base_milli, o.label), groupArrayIf(
                CAST((r.patterns[1], r.base_milli, r.work_class), 'Tuple(label String, base_milli Int64, work_class String)'), r.kind = 'label'
            )) AS overrides,
            anyIf(r.rule, r.kind = 'evidence') AS evidence_rule,
            anyIf(r.rule, r.kind = 'closed_without_work') AS closed_rule,
            CAST(groupArrayIf((r.patterns[1], r.base_milli), r.kind = 'reference'), 'Map(String, Int64)') AS references
        FROM value_rules AS r FINAL
        GROUP BY since
    )
SELECT
    since,
    item_type,
    labels,
    found.kind = 'container',
    found.number,
    if(is_overridden, override.base_milli, found.base_milli),
    if(is_overridden, 0, found.sized),
    if(is_overridden, override.work_class, found.work_class),
    evidence_rule,
    closed_rule,
    references
FROM (
    SELECT
        *,
        arrayMap(label -> plain(label), labels) AS plain_labels,
        arrayPushFront(plain_labels, plain(item_type)) AS texts,
        arrayFirst(
            r -> r.kind = 'unclassified' OR arrayExists(
                pattern -> if(
                    endsWith(pattern, '*'),
                    arrayExists(text -> startsWith(text, substring(pattern, 1, length(pattern) - 1)), texts),
                    has(texts, pattern)
                ),
                r.patterns
            ),
            rules
        ) AS found,
        arrayFirst(o -> has(plain_labels, o.label), overrides) AS override,
        override.work_class != '' AND found.number > closed_rule AS is_overridden
    FROM wanted
    INNER JOIN rule_sets USING (since)
)
