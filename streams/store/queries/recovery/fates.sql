-- What became of the records of one incarnation of a partition below a position, counted from the rows themselves, and the watermarks of all
-- incarnations (offsets below the end of each).
SELECT
    (SELECT uniqExact(koff) FROM usage_events WHERE kpart = {kpart:UInt16} AND incarnation = {incarnation:UInt32} AND koff < {usage_ends:Array(Int64)}[incarnation + 1]) AS usage_applied,
    (SELECT uniqExact(koff) FROM duplicates WHERE topic = {usage_topic:String} AND kpart = {kpart:UInt16} AND incarnation = {incarnation:UInt32} AND koff < {usage_ends:Array(Int64)}[incarnation + 1]) AS usage_duplicates,
    (SELECT uniqExact(koff) FROM dead_letters WHERE topic = {usage_topic:String} AND kpart = {kpart:UInt16} AND incarnation = {incarnation:UInt32} AND koff < {usage_ends:Array(Int64)}[incarnation + 1]) AS usage_dead,
    (SELECT uniqExact(koff) FROM work_item_events WHERE kpart = {kpart:UInt16} AND incarnation = {incarnation:UInt32} AND koff < {items_ends:Array(Int64)}[incarnation + 1]) AS items_applied,
    (SELECT uniqExact(koff) FROM duplicates WHERE topic = {items_topic:String} AND kpart = {kpart:UInt16} AND incarnation = {incarnation:UInt32} AND koff < {items_ends:Array(Int64)}[incarnation + 1]) AS items_duplicates,
    (SELECT uniqExact(koff) FROM dead_letters WHERE topic = {items_topic:String} AND kpart = {kpart:UInt16} AND incarnation = {incarnation:UInt32} AND koff < {items_ends:Array(Int64)}[incarnation + 1]) AS items_dead,
    (SELECT toUnixTimestamp64Micro(max(occurred_at)) FROM usage_events WHERE kpart = {kpart:UInt16} AND koff < {usage_ends:Array(Int64)}[incarnation + 1]) AS usage_watermark,
    (SELECT toUnixTimestamp64Micro(max(occurred_at)) FROM work_item_events WHERE kpart = {kpart:UInt16} AND koff < {items_ends:Array(Int64)}[incarnation + 1]) AS items_watermark
