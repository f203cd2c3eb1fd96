-- One row is a run of `tokenworth verify`. Never changes.
CREATE TABLE IF NOT EXISTS verifications {on_cluster} (
    verified_at DateTime64(6, 'UTC'),
    compared Int64 COMMENT 'rows',
    different Int64 COMMENT 'rows that differ from what the raw events say',
    tables Array(String) COMMENT 'that these rows are of'
) ENGINE = {merge_tree}
ORDER BY verified_at
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Alerts that are or were worth telling, of teams that are large enough: whose latest 28-day window has as many contributors as the tenant's
-- privacy floor asks for (5 by default); and those that concern no team. Money in USD.
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
WHERE a.state != 'inactive' AND (a.team = '' AND a.rule IN ('results_late', 'dead_letters', 'verify_mismatch', 'unpriced_model', 'broken_hook', 'completions_silent', 'budget_forecast') OR w.people >= if(s.tenant = '', 5, s.floor));
