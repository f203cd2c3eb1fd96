-- Alerts, the latest first.
SELECT
    team, rule, kind, state, window_size, started_at, fired_at, resolved_at, unit, value, usual_value, threshold,
    spend_usd, usual_spend_usd, core_value, usual_core_value, delivered, summary, fingerprint
FROM v_alerts
WHERE tenant IN ({tenant:String}, '') AND ({team:String} = '' OR team = {team:String}) AND (NOT {open_only:UInt8} OR state != 'resolved')
ORDER BY started_at DESC, team, rule
