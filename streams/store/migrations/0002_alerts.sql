-- Alerts: their state, what was told about them, and the view that analysts read.

-- One row is one instance of an alert: a rule, a team, and the time it began. Changes when the alert fires, clears, burns again, resolves.
CREATE TABLE IF NOT EXISTS alerts {on_cluster} (
    fingerprint String COMMENT 'xxHash64 (hex) of the sorted labels: what the alert is about',
    rule LowCardinality(String),
    tenant LowCardinality(String),
    team LowCardinality(String),
    kind LowCardinality(String) COMMENT 'page or ticket',
    size LowCardinality(String) COMMENT 'of the windows that the rule judges',
    state LowCardinality(String) COMMENT 'pending, firing, resolved; inactive: was pending and went away before it fired',
    started_at DateTime64(6, 'UTC') COMMENT 'end of the window in which the condition became true: pending since',
    fired_at DateTime64(6, 'UTC') COMMENT '1970: never fired',
    clear_since DateTime64(6, 'UTC') COMMENT 'firing, but the condition is false since then; 1970: it is true',
    resolved_at DateTime64(6, 'UTC') COMMENT 'resolved or inactive since; 1970: open',
    window_end DateTime64(6, 'UTC') COMMENT 'end of the window that made the last change',
    unit LowCardinality(String) COMMENT 'of value, baseline and threshold: micro_usd or per_mille',
    value Int64 COMMENT 'what is judged, in the window that fired (while pending: that began)',
    baseline Int64 COMMENT 'median of the four weeks before; of spend_runaway their 95th percentile',
    threshold Int64 COMMENT 'value from which on the rule is true; frozen when the alert began',
    spend_micro_usd Int64 COMMENT 'standard cost of that window',
    usual_spend_micro_usd Int64 COMMENT 'median of the four weeks before',
    core_value_milli Int64 COMMENT 'net core value of that window',
    usual_core_value_milli Int64,
    deliver UInt8 COMMENT '0: fired in old windows only: recorded, not delivered',
    summary String COMMENT 'what happened, against what is usual, since when, where to look',
    version UInt64 COMMENT 'window_end in micro-seconds'
) ENGINE = {replacing}
ORDER BY (fingerprint, started_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is one message about an alert to one channel: the outbox. Changes with each attempt to deliver it.
CREATE TABLE IF NOT EXISTS alert_deliveries {on_cluster} (
    fingerprint String,
    started_at DateTime64(6, 'UTC'),
    event LowCardinality(String) COMMENT 'firing or resolved',
    channel LowCardinality(String),
    status LowCardinality(String) COMMENT 'due, sent or failed',
    attempts UInt32,
    due_at DateTime64(6, 'UTC') COMMENT 'of the next attempt',
    sent_at DateTime64(6, 'UTC') COMMENT '1970: not sent',
    error String COMMENT 'of the last attempt',
    version UInt64 COMMENT 'attempts'
) ENGINE = {replacing}
ORDER BY (fingerprint, started_at, event, channel)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row is how far the alert agent has judged the windows of one partition of value-windows. Changes with each step.
CREATE TABLE IF NOT EXISTS alert_checkpoints {on_cluster} (
    wpart UInt16,
    next_offset Int64,
    watermark DateTime64(6, 'UTC') COMMENT 'every window that is final by it is judged',
    written_at DateTime64(6, 'UTC'),
    version UInt64 COMMENT 'watermark in micro-seconds'
) ENGINE = {replacing}
ORDER BY wpart
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Alerts that are or were worth telling, of teams that are large enough: whose latest 28-day window has as many contributors as the tenant's
-- privacy floor asks for (5 by default). Money in USD.
CREATE OR REPLACE VIEW v_alerts {on_cluster} AS
SELECT
    a.tenant AS tenant,
    a.team AS team,
    a.rule AS rule,
    a.kind AS kind,
    a.state AS state,
    a.size AS window_size,
    a.started_at AS started_at,
    nullIf(a.fired_at, toDateTime64(0, 6, 'UTC')) AS fired_at,
    nullIf(a.resolved_at, toDateTime64(0, 6, 'UTC')) AS resolved_at,
    a.window_end AS changed_at,
    a.unit AS unit,
    if(a.unit = 'micro_usd', a.value / 1e6, a.value / 1000) AS value,
    if(a.unit = 'micro_usd', a.baseline / 1e6, a.baseline / 1000) AS usual_value,
    if(a.unit = 'micro_usd', a.threshold / 1e6, a.threshold / 1000) AS threshold,
    a.spend_micro_usd / 1e6 AS spend_usd,
    a.usual_spend_micro_usd / 1e6 AS usual_spend_usd,
    a.core_value_milli / 1000 AS core_value,
    a.usual_core_value_milli / 1000 AS usual_core_value,
    a.deliver AS delivered,
    a.summary AS summary,
    a.fingerprint AS fingerprint
FROM alerts AS a FINAL
LEFT JOIN (
    SELECT tenant, team, argMax(contributors, window_end) AS people
    FROM value_windows FINAL
    WHERE grouping = 'team' AND size = '28d'
    GROUP BY tenant, team
) AS w ON w.tenant = a.tenant AND w.team = a.team
LEFT JOIN (
    SELECT tenant, toInt64(value) AS floor
    FROM tenant_settings FINAL
    WHERE name = 'privacy_floor'
) AS s ON s.tenant = a.tenant
WHERE a.state != 'inactive' AND w.people >= if(s.tenant = '', 5, s.floor);
