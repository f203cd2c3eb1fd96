-- What people say about alerts: not to be told of some for a while, and that somebody has taken one on.

-- One row is one silence. Changes when it is expired before its time.
CREATE TABLE IF NOT EXISTS alert_silences {on_cluster} (
    id String,
    matchers Array(String) COMMENT 'on labels of alerts, as team="search": all must match',
    starts_at DateTime64(6, 'UTC') COMMENT 'inclusive',
    ends_at DateTime64(6, 'UTC') COMMENT 'exclusive',
    created_at DateTime64(6, 'UTC'),
    created_by String COMMENT 'who: a pseudonym, or a name that its owner chose',
    comment String COMMENT 'why',
    version UInt64 COMMENT 'time of writing in micro-seconds'
) ENGINE = {replacing}
ORDER BY id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is the acknowledgement of one episode of an alert. Changes when somebody acknowledges it again.
CREATE TABLE IF NOT EXISTS alert_acknowledgements {on_cluster} (
    fingerprint String,
    started_at DateTime64(6, 'UTC') COMMENT 'of the episode, as in alerts',
    acked_at DateTime64(6, 'UTC'),
    acked_by String COMMENT 'who: a pseudonym, or a name that its owner chose',
    comment String COMMENT 'why',
    until DateTime64(6, 'UTC') COMMENT 'reminders begin again; 1970: never',
    version UInt64 COMMENT 'acked_at in micro-seconds'
) ENGINE = {replacing}
ORDER BY (fingerprint, started_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
