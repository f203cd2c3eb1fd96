-- Work items with a name like this, for a misspelt one.
SELECT work_item_id
FROM (SELECT DISTINCT work_item_id FROM work_items FINAL WHERE tenant = {tenant:String})
ORDER BY editDistanceUTF8(left(work_item_id, 100), left({item:String}, 100)), work_item_id
LIMIT 3
