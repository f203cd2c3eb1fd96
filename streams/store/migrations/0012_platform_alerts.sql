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
WHERE a.state != 'inactive' AND (a.team = '' AND (a.tenant = '' OR a.rule IN ('unpriced_model', 'broken_hook', 'completions_silent', 'budget_forecast')) OR w.people >= if(s.tenant = '', 5, s.floor));

-- Comments on the columns of v_alerts, whose statement has none.
ALTER TABLE v_alerts {on_cluster}
    COMMENT COLUMN tenant 'tenant',
    COMMENT COLUMN team 'team that the alert is about',
    COMMENT COLUMN rule 'name of the rule that fired',
    COMMENT COLUMN kind 'page, ticket or digest',
    COMMENT COLUMN state 'pending, firing, resolved; no_data: fires, but its team sends no usage any more',
    COMMENT COLUMN window_size 'size of the windows that the rule judges',
    COMMENT COLUMN started_at 'when the condition began to hold',
    COMMENT COLUMN fired_at 'when it had held long enough; NULL: not yet',
    COMMENT COLUMN resolved_at 'NULL: not yet',
    COMMENT COLUMN changed_at 'end of the window of the latest change',
    COMMENT COLUMN unit 'of value, usual_value and threshold: micro_usd (shown in USD) or per_mille (shown as a share)',
    COMMENT COLUMN value 'what was judged, in the window that fired, or while pending in the one that began',
    COMMENT COLUMN usual_value 'median of the four weeks before; of spend_runaway their 95th percentile',
    COMMENT COLUMN threshold 'value from which on the rule is true; frozen when the alert began',
    COMMENT COLUMN spend_usd 'standard cost of the window, USD',
    COMMENT COLUMN usual_spend_usd 'median of the four weeks before, USD',
    COMMENT COLUMN core_value 'core work of the window, in typical core items',
    COMMENT COLUMN usual_core_value 'median of the four weeks before',
    COMMENT COLUMN delivered '0: fired in old windows only: recorded, not told',
    COMMENT COLUMN summary 'what happened, against what is usual, since when, where to look',
    COMMENT COLUMN fingerprint 'identity of the alert: rule, tenant and team';

ALTER TABLE v_alerts {on_cluster} MODIFY COMMENT 'Alerts that are or were worth telling. One row: an alert from its beginning on.';
