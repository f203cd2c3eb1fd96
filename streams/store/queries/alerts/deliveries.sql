-- What has become of the notices of the alerts of told.sql.
SELECT fingerprint, started_at, event, channel, status, attempts, failures, due_at, sent_at, error FROM alert_deliveries FINAL
WHERE (fingerprint, started_at) IN (
    SELECT fingerprint, started_at FROM alerts FINAL
    WHERE deliver AND (state IN ('firing', 'no_data') OR state = 'resolved' AND window_end >= fromUnixTimestamp64Micro({since:Int64}))
)
