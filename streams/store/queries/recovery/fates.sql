-- What became of the records of one partition below a position, counted from the rows themselves.
SELECT
    (SELECT uniqExact(koff) FROM usage_events WHERE kpart = {kpart:UInt16} AND koff < {usage_next:Int64}) AS usage_applied,
    (SELECT uniqExact(koff) FROM duplicates WHERE topic = {usage_topic:String} AND kpart = {kpart:UInt16} AND koff < {usage_next:Int64}) AS usage_duplicates,
    (SELECT uniqExact(koff) FROM dead_letters WHERE topic = {usage_topic:String} AND kpart = {kpart:UInt16} AND koff < {usage_next:Int64}) AS usage_dead,
    (SELECT uniqExact(koff) FROM work_item_events WHERE kpart = {kpart:UInt16} AND koff < {items_next:Int64}) AS items_applied,
    (SELECT uniqExact(koff) FROM duplicates WHERE topic = {items_topic:String} AND kpart = {kpart:UInt16} AND koff < {items_next:Int64}) AS items_duplicates,
    (SELECT uniqExact(koff) FROM dead_letters WHERE topic = {items_topic:String} AND kpart = {kpart:UInt16} AND koff < {items_next:Int64}) AS items_dead,
    (SELECT toUnixTimestamp64Micro(max(occurred_at)) FROM usage_events WHERE kpart = {kpart:UInt16} AND koff < {usage_next:Int64}) AS usage_watermark,
    (SELECT toUnixTimestamp64Micro(max(occurred_at)) FROM work_item_events WHERE kpart = {kpart:UInt16} AND koff < {items_next:Int64}) AS items_watermark
