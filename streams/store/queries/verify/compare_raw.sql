-- Accepted events against their identities: one that repeats an identity should have become a duplicate.
SELECT
    (SELECT sum(if({topic:String} = 'usage-events', usage_applied, items_applied)) FROM {scratch}.positions) AS compared,
    count() AS different,
    0 AS moved,
    groupArraySorted({keep})([toString(kpart), tenant, event_id]) AS keys,
    [] AS moved_keys
FROM {scratch}.repeats
WHERE topic = {topic:String}
