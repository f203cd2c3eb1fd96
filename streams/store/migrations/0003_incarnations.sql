-- The lives of input partitions, and requests to compute results again.

-- One row is one life (incarnation) of an input partition. A new one begins when a topic was created anew, or the group lost its offsets: offsets
-- begin again, and of the closed life only what lies below its end counts. Changes once, when it is closed.
CREATE TABLE IF NOT EXISTS incarnations {on_cluster} (
    kpart UInt16,
    incarnation UInt32,
    usage_topic_id String COMMENT 'as the broker names the topic usage-events; empty: it has no ids',
    items_topic_id String COMMENT 'likewise of work-item-events',
    usage_end Int64 COMMENT 'next offset at which it was closed; -1: it lives',
    items_end Int64,
    epoch UInt64 COMMENT 'of the tenure in which it began: result rows of earlier tenures are not trusted',
    opened_at DateTime64(6, 'UTC'),
    reason LowCardinality(String) COMMENT 'why it began',
    version UInt64 COMMENT 'epoch of the writer'
) ENGINE = {replacing}
ORDER BY (kpart, incarnation)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is a request to compute the results of one input partition again from raw events, and how far its owner has come with it.
CREATE TABLE IF NOT EXISTS rebuilds {on_cluster} (
    kpart UInt16,
    requested_at DateTime64(6, 'UTC') COMMENT 'names the request',
    from_time DateTime64(6, 'UTC') COMMENT 'event time, inclusive',
    to_time DateTime64(6, 'UTC') COMMENT 'event time, exclusive',
    epoch UInt64 COMMENT 'of the tenure in which it began: result rows of earlier tenures are computed again; 0: not begun',
    done Int64 COMMENT 'items and panes computed so far',
    total Int64 COMMENT 'of so many; 0: not counted yet',
    finished UInt8,
    cursor Array(String) COMMENT 'where the owner goes on: the last item done',
    version UInt64
) ENGINE = {replacing}
ORDER BY (kpart, requested_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
